"""Stage-B: the verdict of a group from its Stage-A lines alone."""

from __future__ import annotations

from collections.abc import Mapping

from shenhe.config import Mission, Template
from shenhe.errors import FormatError
from shenhe.formats import grammars, summary, verdict
from shenhe.formats.text_formats import PLAIN, SummaryFormat, TextFormats, VerdictFormat
from shenhe.messages import Answer, Message, Request
from shenhe.values import Judgement

MAX_NEW_TOKENS = 128


def messages(
    lines: Mapping[str, str],
    mission: Mission,
    template: Template,
    form: SummaryFormat = PLAIN.summary,
) -> tuple[Message, ...]:
    """Build the messages about the lines of a group, listed in their order; text only.

    A line may still be wrapped as the model wrote it, in the `form` of its answers.

    Raises: FormatError for a line that is no summary: a line break or a special token in it could
    pose as part of the prompt.
    """
    listed = "\n".join(f"{key}: {line}" for key, line in summary.parse_group(lines, form).items())
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
    formats: TextFormats = PLAIN,
) -> Request:
    """Ask for the verdict of a group.

    Raises: FormatError for a line that is no summary.
    """
    return Request(
        key,
        messages(lines, mission, template, formats.summary),
        max_new_tokens,
        choices=formats.verdict.openings,
        grammar=grammars.of_verdict(formats.verdict),
    )


def read(answer: Answer, form: VerdictFormat = PLAIN.verdict) -> Judgement:
    """Read the verdict.

    Raises: FormatError; a malformed verdict is never a pass, and never repaired.
    """
    if answer.finish_reason != "stop":
        raise FormatError("length", f"cut at the limit of {answer.new_tokens} tokens")
    return verdict.parse(answer.text, form)
