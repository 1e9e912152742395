"""Stage-B: the verdict of a group from its Stage-A lines alone."""

from __future__ import annotations

from collections.abc import Mapping

from shenhe.config import Mission, Template
from shenhe.errors import FormatError
from shenhe.formats import grammars, summary, verdict
from shenhe.messages import Answer, Message, Request
from shenhe.values import FAIL, PASS, Judgement

MAX_NEW_TOKENS = 128


def messages(lines: Mapping[str, str], mission: Mission, template: Template) -> tuple[Message, ...]:
    """Build the messages about the lines of a group, listed in their order; text only.

    Raises: FormatError for a line that is no summary: a line break or a special token in it could
    pose as part of the prompt.
    """
    listed = "\n".join(f"{key}: {summary.parse(line)}" for key, line in lines.items())
    turns = [Message("system", (template.system,))] if template.system else []
    for example in template.examples:
        turns.append(Message("user", (template.fill(mission, example.lines),)))
        turns.append(Message("assistant", (example.answer,)))
    return *turns, Message("user", (template.fill(mission, listed),))


def request(
    key: str,
    lines: Mapping[str, str],
    mission: Mission,
    template: Template,
    max_new_tokens: int = MAX_NEW_TOKENS,
) -> Request:
    """Ask for the verdict of a group.

    Raises: FormatError for a line that is no summary.
    """
    return Request(
        key,
        messages(lines, mission, template),
        max_new_tokens,
        choices=(PASS, FAIL),
        grammar=grammars.of_verdict(),
    )


def read(answer: Answer) -> Judgement:
    """Read the verdict.

    Raises: FormatError; a malformed verdict is never a pass, and never repaired.
    """
    if answer.finish_reason != "stop":
        raise FormatError("length", f"cut at the limit of {answer.new_tokens} tokens")
    return verdict.parse(answer.text)
