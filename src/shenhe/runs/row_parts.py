"""Parts that rows and failures of all stages share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypedDict

from shenhe.config import Mission
from shenhe.errors import RowError
from shenhe.messages import Answer
from shenhe.row_types import AnswerMeta, Failure, SummaryRow, utc_now
from shenhe.rows.fields import group_of, mission_of
from shenhe.rows.keys import mission_of_file
from shenhe.rows.readers import KeyedRow
from shenhe.runs.work import Rejection
from shenhe.values import Group, LeftOut

NO_ROW: Final = "row"
"""Code of the failure of a line that is no Stage-A row of its file's mission."""
MAX_NAMED = 10
"""Maximum number of left-out files that are named in one line."""


def answer_meta(answer: Answer, *, of_one_photo: bool = True) -> AnswerMeta:
    """Keep what explains an answer later."""
    # The last photo of a Stage-A request is its subject: examples precede it.
    size = answer.sizes[-1] if answer.sizes and of_one_photo else None
    return AnswerMeta(
        raw=answer.text,
        finish_reason=answer.finish_reason,
        attempts=answer.attempt + 1,
        prompt_tokens=answer.prompt_tokens,
        new_tokens=answer.new_tokens,
        original_wh=size.original_wh if size else None,
        resized_wh=size.resized_wh if size else None,
        facts=size.facts if size else None,
    )


class ReasonFields(TypedDict):
    """Fields of `row_types.FailureReason`."""

    code: str
    message: str
    raw: str | None
    attempts: int
    timestamp: str


def group_failure(group: Group, item: str, rejection: Rejection) -> Failure:
    """Make the failure row of a group, or of an item of it."""
    return Failure(
        item=item,
        group_id=group.group_id,
        mission=group.mission,
        label=group.label,
        **reason_fields(rejection),
    )


def reason_fields(rejection: Rejection) -> ReasonFields:
    """The last fields of a failure row, whatever it is about."""
    return {
        "code": rejection.code,
        "message": rejection.message,
        "raw": rejection.raw,
        "attempts": rejection.attempts,
        "timestamp": utc_now(),
    }


def describe_left_out(left_out: Sequence[LeftOut]) -> str:
    """List files that were left out, up to MAX_NAMED of them by name."""
    names = [f"{file.path} ({file.kind})" for file in left_out[:MAX_NAMED]]
    if len(left_out) > MAX_NAMED:
        names.append(f"{len(left_out) - MAX_NAMED} more")
    return ", ".join(names)


def bad_row_failure(
    keyed: KeyedRow[SummaryRow] | RowError, error: RowError, mission: Mission
) -> Failure:
    """Make the failure of a line, of its group if it names one."""
    item = f"{error.path.name}:{error.number}"
    group = Group(item, mission.name, None, ())
    if not isinstance(keyed, RowError):
        row, name = keyed.json, mission_of_file(keyed.path)
        group_id, label = group_of(row)
        group = Group(group_id, mission_of(row, name), label, ())
    rejection = Rejection(NO_ROW, f"line {error.number} {error.problem}", 1)
    return group_failure(group, item, rejection)
