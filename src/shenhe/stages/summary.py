"""Stage-A: one line of Chinese for every photo of a group."""

from __future__ import annotations

from collections.abc import Iterator

from shenhe.config import Mission, Template
from shenhe.errors import FormatError
from shenhe.formats import grammars, summary
from shenhe.formats.text_formats import PLAIN, SummaryFormat
from shenhe.locations import Location
from shenhe.messages import Answer, Message, Request
from shenhe.stages.photo_prompt import photo_messages
from shenhe.values import Group, photo_key

MAX_NEW_TOKENS = 512


def request(
    key: str,
    photo: Location,
    mission: Mission,
    template: Template,
    max_new_tokens: int,
    form: SummaryFormat = PLAIN.summary,
) -> Request:
    """Ask for the line of one photo, after the worked examples."""
    question = template.fill(mission)
    *system, final_turn = photo_messages(template.system, question, [photo])
    example_turns = [
        message
        for example in template.examples
        if example.photo is not None
        for message in (
            *photo_messages("", question, [example.photo]),
            Message("assistant", (example.answer,)),
        )
    ]
    messages = (*system, *example_turns, final_turn)
    return Request(key, messages, max_new_tokens, grammar=grammars.of_summary(form))


def requests(
    group: Group,
    mission: Mission,
    template: Template,
    max_new_tokens: int = MAX_NEW_TOKENS,
    form: SummaryFormat = PLAIN.summary,
) -> Iterator[Request]:
    """Ask for the line of every photo of a group; the keys are 图片_1, 图片_2, ..."""
    for index, photo in enumerate(group.photos):
        yield request(photo_key(index), photo, mission, template, max_new_tokens, form)


def read(answer: Answer, form: SummaryFormat = PLAIN.summary) -> str:
    """Read the line.

    Raises: FormatError, also for a line that was truncated at the token limit.
    """
    if answer.finish_reason == "loop":
        raise FormatError("loop", f"stopped after {answer.new_tokens} tokens: one thing repeated")
    if answer.finish_reason != "stop":
        raise FormatError("length", f"cut at the limit of {answer.new_tokens} tokens")
    return summary.parse(answer.text, form)
