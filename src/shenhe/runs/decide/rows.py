"""One verdict row decided anew: from what the model said, and from the lines of its group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shenhe.formats import verdict
from shenhe.row_types import Failure, SummaryRow, VerdictRow
from shenhe.rows.duplicates import DuplicateRows
from shenhe.rows.statements import Statement, codes_of, split_reason, statement_of
from shenhe.rows.verdict_inputs import describe_missing_lines
from shenhe.runs.deciding import (
    Doubt,
    MissionPolicy,
    codes_of_doubts,
    describe_doubts,
    incomplete_doubt,
    left_out_doubts,
    sorted_doubts,
)
from shenhe.values import CONTRADICTION, DUPLICATE_GROUP, LEFT_OUT, PASS, Judgement

NO_LINES = "没有一行, 无法核对"
OTHER_LINES = "判定之后各行已改变"


@dataclass(frozen=True, slots=True)
class GroupLines:
    """What Stage-A has of a group.

    `summary` is its row, None if it has none that can be read; `repeats` are several rows that
    differ. `is_listed` tells whether Stage-A has the group, `expected` whether it has the mission.
    """

    summary: SummaryRow | None = None
    inputs_hash: str | None = None
    repeats: DuplicateRows | None = None
    is_listed: bool = False
    expected: bool = False


def decide_row(
    row: VerdictRow,
    repeats: DuplicateRows | None,
    lines: GroupLines,
    policy: MissionPolicy,
    timestamp: str,
) -> VerdictRow:
    """Decide a row anew; `repeats` are several verdicts on its group, of which nobody knows which
    is right.

    What the model said nothing of stays undecided for the reason that it had.
    """
    statement = statement_of(row)
    evidence = policy.find_evidence(lines.summary.per_image if lines.summary else {})
    doubts = _doubts_of_row(row, repeats, statement)
    if doubts:
        statement = statement._replace(ruling=None)
    elif statement.ruling is not None:
        doubts = _doubts_of_lines(row, statement, lines, policy)
        doubts = sorted_doubts([*doubts, *policy.doubts(statement, evidence.items)])
    meta: dict[str, object] = {"evidence": evidence, "promise": policy.promise_hash}
    meta["ruling"] = statement.ruling
    fields: dict[str, object] = {"timestamp": timestamp}
    if doubts:
        fields |= {"verdict": None, "status": "undecided", "raw": row.raw or _render(statement)}
        fields["reason"] = f"{doubts[0].code}: {describe_doubts(doubts)}"
        meta["why"] = codes_of_doubts(doubts)
    elif statement.ruling is None:
        meta["why"] = codes_of(row)
    else:
        fields |= {"verdict": statement.ruling, "status": "decided"}
        fields["reason"] = row.reason if row.verdict is not None else statement.reason
        meta |= {"why": [], "inputs_hash": row.meta.inputs_hash or lines.inputs_hash}
    if lines.summary:
        fields["extra"] = lines.summary.extra | row.extra
        fields["label"] = row.label or lines.summary.label
    return row.model_copy(update=fields | {"meta": row.meta.model_copy(update=meta)})


def failure_of(row: VerdictRow) -> Failure:
    """Make the failure of an undecided row, which says why it is."""
    code, message = split_reason(row.reason)
    return Failure(
        item=row.group_id,
        group_id=row.group_id,
        mission=row.mission,
        label=row.label,
        code=row.meta.why[0] if row.meta.why else code or "undecided",
        message=message,
        raw=row.raw or None,
        timestamp=row.timestamp,
    )


def _doubts_of_row(
    row: VerdictRow, repeats: DuplicateRows | None, statement: Statement
) -> list[Doubt]:
    """List why a row itself says nothing that can be relied on, however its lines are."""
    if repeats is not None:
        return [Doubt(DUPLICATE_GROUP, repeats.description)]
    if row.verdict is None:
        return []
    if row.meta.why:
        message = f"verdict 写{row.verdict}, 行里却写明"
        return [Doubt(code, message) for code in row.meta.why]
    if statement.ruling is None:
        return [Doubt(CONTRADICTION, f"verdict 写{row.verdict}, raw 写的却不是")]
    return []


def _doubts_of_lines(
    row: VerdictRow, statement: Statement, lines: GroupLines, policy: MissionPolicy
) -> list[Doubt]:
    """List the doubts about the input of a verdict, whatever it is."""
    if lines.repeats is not None:
        return [Doubt(DUPLICATE_GROUP, lines.repeats.description)]
    if lines.summary is None:
        doubts = left_out_doubts(statement.ruling, row.meta.left_out)
        doubts = doubts or _former_doubts(row, (LEFT_OUT, DUPLICATE_GROUP))
        if statement.ruling == PASS and (lines.expected or policy.rules):
            doubts.append(incomplete_doubt(NO_LINES))
        return doubts
    summary, doubts = lines.summary, list[Doubt]()
    if gap := describe_missing_lines(len(summary.images), summary.per_image):
        doubts.append(incomplete_doubt(gap))
    if row.meta.inputs_hash not in (None, lines.inputs_hash):
        doubts.append(incomplete_doubt(OTHER_LINES))
    left_out = summary.meta.left_out or row.meta.left_out
    return doubts + left_out_doubts(statement.ruling, left_out)


def _former_doubts(row: VerdictRow, kept: Sequence[str]) -> list[Doubt]:
    """List doubts that the row tells of, and which nothing else could tell anew."""
    _, message = split_reason(row.reason)
    codes = [code for code in codes_of(row) if code in kept]
    return [Doubt(code, "" if index else message) for index, code in enumerate(codes)]


def _render(statement: Statement) -> str:
    """Write what a tool said that gave no text, which the reason of the row makes room for."""
    if statement.ruling is None:
        return ""
    return verdict.render(Judgement(statement.ruling, statement.reason))
