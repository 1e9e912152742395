"""Checks of a model's answers, whoever gives them: their formats and the token limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple, TypeAlias

from shenhe.checkpoints.findings import Finding
from shenhe.config import formats_by_hash
from shenhe.doctor.subject import Subject
from shenhe.engines.base import Engine
from shenhe.errors import FormatError, spelled
from shenhe.formats.recognition import AnswerKind, recognize
from shenhe.formats.text_formats import CaptionFormat, TextFormats
from shenhe.messages import Answer, Request, RequestFailed
from shenhe.stages import caption, summary

Reply: TypeAlias = Answer | RequestFailed


def ask(engine: Engine, subject: Subject) -> dict[str, Reply]:
    """Ask an engine for the caption and the Stage-A line of each photo. Returns replies by key.

    Raises: EngineError.
    """
    requests = [*caption_requests(subject), *summary_requests(subject)]
    return {reply.key: reply for reply in engine.answer(requests)}


def check_replies(
    subject: Subject, replies: dict[str, Reply], remedy: str = ""
) -> Iterator[Finding]:
    """Check the replies of `ask`: captions, lines and the token limit.

    `remedy` is where to look when there is no answer.
    """
    for reply in replies.values():
        if isinstance(reply, RequestFailed):
            yield Finding("error", f"{reply.key}: {reply.message}", remedy)
    captions = [replies[request.key] for request in caption_requests(subject)]
    yield from _captions(captions, subject.formats.caption)
    yield from _lines([replies[request.key] for request in summary_requests(subject)], subject)
    answers = [reply for reply in replies.values() if isinstance(reply, Answer)]
    yield _token_limit(answers, subject.max_new_tokens)


def caption_requests(subject: Subject) -> list[Request]:
    """Make the request for the dense caption of each photo."""
    template, limit = subject.prompts.caption, subject.max_new_tokens
    return [
        caption.request(f"caption of {path}", [path], template, limit, form=subject.formats.caption)
        for path in subject.photos
    ]


def summary_requests(subject: Subject) -> list[Request]:
    """Make the request for the Stage-A line of each photo, for the first mission."""
    mission, template = next(iter(subject.missions)), subject.prompts.summary
    limit, form = subject.max_new_tokens, subject.formats.summary
    return [
        summary.request(f"line of {path}", path, mission, template, limit, form)
        for path in subject.photos
    ]


def _captions(replies: Sequence[Reply], form: CaptionFormat) -> Iterator[Finding]:
    valid, malformed = _parse(replies, partial(caption.read, form=form))
    if not malformed:
        yield Finding("ok", f"{valid} captions of {valid} have geometry that can be read")
        return
    problem = _describe(malformed, len(replies), "captions")
    if any("{" in answer.text for answer, _ in malformed):
        remedy = "see `prompt` above; shenhe check caption tells what is wrong"
        yield Finding("error", problem, remedy)
        return
    remedy = "trained on summaries only? then summarize, judge and run are what it can do"
    yield Finding("warning", f"no geometry: {problem}", remedy)


def _lines(replies: Sequence[Reply], subject: Subject) -> Iterator[Finding]:
    valid, malformed = _parse(replies, partial(summary.read, form=subject.formats.summary))
    texts = [reply.text for reply in replies if isinstance(reply, Answer)]
    if other := name_formats("summary", texts, subject.formats, "Stage-A lines"):
        yield other
        return
    if malformed:
        remedy = "trained on captions only? then caption is what it can do; or see `prompt` above"
        yield Finding("warning", _describe(malformed, len(replies), "lines"), remedy)
    else:
        yield Finding("ok", f"{valid} Stage-A lines of {valid} can be read")


def name_formats(
    kind: AnswerKind, texts: Sequence[str], formats: TextFormats, unit: str
) -> Finding | None:
    """Name the formats that raw answers are written in; None if they are those in use, or none."""
    fit = recognize(kind, texts, (formats, *formats_by_hash().values()))
    if fit is None or fit.formats == formats:
        return None
    return Finding("warning", f"{fit.describe(unit)}: {spelled('formats', fit.formats.name)}")


class _Malformed(NamedTuple):
    """An answer that cannot be parsed, and the error."""

    answer: Answer
    error: FormatError


def _parse(
    replies: Sequence[Reply], parse: Callable[[Answer], object]
) -> tuple[int, list[_Malformed]]:
    """Parse answers. Returns the count of valid ones and the others."""
    valid, malformed = 0, []
    for reply in replies:
        if not isinstance(reply, Answer):
            continue
        try:
            parse(reply)
        except FormatError as error:
            malformed.append(_Malformed(reply, error))
        else:
            valid += 1
    return valid, malformed


def _describe(malformed: Sequence[_Malformed], total: int, kind: str) -> str:
    answer, error = malformed[0]
    return f"{len(malformed)} of {total} {kind} cannot be read: {error}: {answer.text[:60]!r}"


def _token_limit(answers: Sequence[Answer], limit: int) -> Finding:
    cut = sum(answer.finish_reason == "length" for answer in answers)
    longest = max((answer.new_tokens for answer in answers), default=0)
    message = f"the longest of {len(answers)} answers has {longest} tokens, the limit is {limit}"
    if cut:
        return Finding("warning", f"{message}: it cut {cut}", f"raise {spelled('max_new_tokens')}")
    return Finding("ok", message)
