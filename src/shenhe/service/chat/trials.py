"""Forms of answers that clients send, tried in a process of their own before the model has them.

A schema of a few kilobytes can take all memory, or end the process that compiles it: that is never
the process of the model, which others wait for.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import resource
import subprocess
import sys
from collections import OrderedDict
from typing import Final

from fastapi.concurrency import run_in_threadpool
from llguidance import LLMatcher

from shenhe.engines.free_forms import LARK_OF
from shenhe.messages import FreeGrammar, Grammar
from shenhe.service.refusals import RefusedError

CPU_SECONDS: Final = 2
WALL_SECONDS: Final = 20.0
MEMORY_BYTES: Final = 1 << 30
STACK_BYTES: Final = 4 << 20
"""Less than a thread of the model has: what fits here fits there."""
AT_ONCE: Final = 2
MAX_KNOWN: Final = 1000
"""Forms that are not tried again; programs send the same ones again and again."""
CODE: Final = (
    "import sys; sys.path[:] = sys.argv[1:]; from shenhe.service.chat.trials import main; main()"
)


class FormTrials:
    """Tries each form once; belongs to one event loop.

    Example:
        await FormTrials().check(FreeGrammar("regex", "通过|不通过"))

    """

    def __init__(self) -> None:
        self._known: OrderedDict[str, None] = OrderedDict()
        self._room = asyncio.Semaphore(AT_ONCE)

    async def check(self, form: Grammar | FreeGrammar | None) -> None:
        """Refuse a form that would harm the model; what else is wrong with it the model says.

        Raises: RefusedError.
        """
        if form is None:
            return
        if isinstance(form, FreeGrammar):
            sent = json.dumps([form.language, form.source]).encode()
        else:
            sent = json.dumps(["lark", form.lark]).encode()
        name = hashlib.sha256(sent).hexdigest()
        if name not in self._known:
            async with self._room:
                if not await run_in_threadpool(_is_harmless, sent):
                    problem = "the form of the answer takes too much time or memory: simplify it"
                    raise RefusedError(400, "bad_grammar", problem)
            self._known[name] = None
            if len(self._known) > MAX_KNOWN:
                self._known.popitem(last=False)
        self._known.move_to_end(name)


def main() -> None:
    """Compile the form on the standard input; whatever ends the process by force is its answer."""
    for kind, limit in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_STACK, STACK_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (limit, limit))
    language, source = json.load(sys.stdin)
    try:
        LLMatcher.validate_grammar(LARK_OF[language](source))
    except MemoryError:
        os.abort()


def _is_harmless(sent: bytes) -> bool:
    command = [sys.executable, "-c", CODE, *sys.path]
    try:
        ended = subprocess.run(  # noqa: S603 - this interpreter, this package
            command, input=sent, capture_output=True, timeout=WALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    # One that is only wrong raises, and ends with 1.
    return ended.returncode in (0, 1)
