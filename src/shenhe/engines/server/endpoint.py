"""One server: which models it has, what it accepts, whether it is there."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Final

from pydantic_core import to_json

from shenhe.engines.base import EngineSpec
from shenhe.engines.options import ServerOptions
from shenhe.engines.server.backoff import Backoff
from shenhe.engines.server.completions import Body, first_choice, read_json
from shenhe.engines.server.faults import (
    BadAnswerError,
    RetryableError,
    UnreachableError,
    error_message,
    to_one_line,
    torn_answer,
)
from shenhe.engines.server.streaming import read_body
from shenhe.engines.server.transport import HttpReply, Transport
from shenhe.errors import EngineError, ItemError, item_wall, spelled
from shenhe.secrecy import KEY_VARIABLES

log = logging.getLogger("shenhe.server")
COMPLETIONS, MODELS = "chat/completions", "models"
PROBE_TRIES, OVERLOAD_TRIES = 3, 5
"""Tries of a probe that fails, and of one that meets an overloaded server."""
PROBLEM_SECONDS, MAX_PROBE_PAUSE = 10.0, 10.0
RETRYABLE: Final = frozenset({408, 409, 425, 429})
"""Statuses that pass, besides all from 500 on."""
OVERLOADED: Final = frozenset({429, 503, 529})
DENIED: Final = frozenset({401, 403, 404})
"""Statuses that every request meets: the key, a permission or the model is wrong."""


class Endpoint:
    """The address of one server, and single requests to it; lives in one event loop."""

    def __init__(self, spec: EngineSpec[ServerOptions]) -> None:
        """Set up without connecting.

        Raises: UsageError for an invalid address or key.
        """
        self.transport = Transport(str(spec.engine.base_url))
        self.address, self.secrets = self.transport.address, self.transport.secrets
        self.seconds = spec.engine.request_timeout
        self.backoff = Backoff(self.address, spec.engine.server_patience)

    async def models(self) -> list[Body]:
        """List the models of the server; empty if its list cannot be read.

        Raises: EngineError.
        """
        for tries in range(PROBE_TRIES):
            if tries:
                await asyncio.sleep(self.backoff.pause(tries))
            try:
                async with asyncio.timeout(self.seconds):
                    reply = await self.transport.send(MODELS)
                if reply.ok:
                    return _read_models(read_json(reply.body))
                problem = self.describe_status(reply)
            except (ItemError, TimeoutError) as error:
                problem = self.describe(error)
        raise EngineError(
            f"{spelled('base_url', self.address)}: no OpenAI-compatible server there: {problem};"
            " the address ends in /v1 as a rule"
        )

    async def told_at(self, path: str) -> Body:
        """Read what the server tells beside its API, at a path from its root; empty if nothing."""
        try:
            async with asyncio.timeout(PROBLEM_SECONDS):
                reply = await self.transport.send(path)
                body = read_json(reply.body)
        except (ItemError, TimeoutError) as error:
            log.info("%s tells nothing at %s: %s", self.address, path, self.describe(error))
            return {}
        return body if reply.ok and isinstance(body, dict) else {}

    async def probe(self, body: Body) -> Body | None:
        """Request a completion to see what the server accepts; None if it refuses.

        Failures that may pass are retried; a bad answer each time counts as a refusal.
        Raises: EngineError if the server denies access or is not there.
        """
        tries = 0
        while True:
            tries += 1
            try:
                return await self._probe_once(to_json(body))
            except ItemError:
                return None
            except RetryableError as error:
                failure = error
            if tries >= (failure.max_failures or PROBE_TRIES):
                break
            pause = self.backoff.pause(tries, failure.retry_after)
            await asyncio.sleep(min(MAX_PROBE_PAUSE, pause))
        if failure.denied or (failure.maybe_gone and await self.problem()):
            raise EngineError(f"{spelled('base_url', self.address)}: {failure}") from failure
        log.info("%s cannot do what it was asked first: %s", self.address, failure)
        return None

    async def _probe_once(self, body: bytes) -> Body:
        """Send one probe.

        Raises: ItemError for a refusal; RetryableError for a failure that may pass.
        """
        try:
            async with asyncio.timeout(self.seconds):
                reply = await self.transport.send(COMPLETIONS, body)
            if reply.ok:
                with item_wall("bad_answer", "the server's answer", BadAnswerError):
                    completion = read_body(reply.body)
                if first_choice(completion) is None:
                    raise torn_answer("no completion: no choices")
                return completion
        except BadAnswerError as error:
            raise RetryableError(self.describe(error)) from error
        except TimeoutError as error:
            message = f"no answer in {self.seconds:g} s"
            raise RetryableError(message, maybe_gone=True, max_failures=1) from error
        except UnreachableError as error:
            raise RetryableError(self.describe(error), maybe_gone=True) from error
        problem = self.describe_status(reply)
        if reply.status in DENIED:
            raise RetryableError(f"{problem}: {describe_denial(reply.status)}", denied=True)
        if not is_retryable(reply.status):
            raise ItemError("refused", problem)
        max_failures = OVERLOAD_TRIES if reply.status in OVERLOADED else PROBE_TRIES
        raise RetryableError(problem, reply.headers.get("Retry-After"), max_failures=max_failures)

    async def problem(self) -> str:
        """Describe what is wrong with the server; empty if it is well."""
        try:
            async with asyncio.timeout(PROBLEM_SECONDS):
                reply = await self.transport.send(MODELS)
        except BadAnswerError:
            return ""
        except (ItemError, TimeoutError) as error:
            return self.describe(error)
        return f"status {reply.status}" if reply.status >= 500 else ""

    def describe_status(self, reply: HttpReply) -> str:
        """Describe a response without success, by the server's own error message if it has one."""
        text = reply.body.decode("utf-8", "replace")
        with suppress(BadAnswerError):
            text = error_message(read_json(text)) or text
        return f"status {reply.status}: {self.describe(text)}"

    def describe(self, problem: object) -> str:
        """Describe an error or a foreign text in one harmless line."""
        line = to_one_line(problem, self.secrets)
        return line or ("no words" if problem == "" else type(problem).__name__)


def is_retryable(status: int) -> bool:
    """Whether a status may pass."""
    return status >= 500 or status in RETRYABLE


def describe_denial(status: int) -> str:
    """Describe what to do about a server that denies access."""
    keys = " or ".join(KEY_VARIABLES)
    remedies = {404: "no such model or address", 401: f"set the key in {keys}"}
    return remedies.get(status, f"the key in {keys} has no right to it")


def _read_models(listing: object) -> list[Body]:
    """Return the entries with a name in a list of models.

    Raises: BadAnswerError if it is no list of models.
    """
    if not isinstance(listing, dict) or not ("data" in listing or "models" in listing):
        raise torn_answer("its list of models is none")
    data = listing.get("data") or listing.get("models")
    entries = data if isinstance(data, list) else []
    return [
        entry for entry in entries if isinstance(entry, dict) and isinstance(entry.get("id"), str)
    ]
