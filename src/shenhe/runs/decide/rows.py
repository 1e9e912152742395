"""One verdict row decided anew: from what the model said, and from the lines of its group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from shenhe.formats import verdict
from shenhe.formats.text_formats import TextFormats
from shenhe.row_types import Evidence, Failure, SummaryRow, VerdictRow
from shenhe.rows.duplicates import DuplicateRows
from shenhe.rows.row_formats import formats_meta, verdict_format_of
from shenhe.rows.statements import (
    Statement,
    codes_of,
    judgement_of,
    split_reason,
    statement_of,
)
from shenhe.rows.unfinished import describe_unfinished
from shenhe.rows.verdict_inputs import describe_gap, describe_no_summaries
from shenhe.runs.deciding import (
    Doubt,
    MissionPolicy,
    codes_of_doubts,
    describe_doubts,
    incomplete_doubt,
    left_out_doubts,
    sorted_doubts,
)
from shenhe.values import CONTRADICTION, DUPLICATE_GROUP, FAIL, FORMAT, LEFT_OUT, PASS, Judgement

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
    evidence = policy.find_evidence(lines.summary.per_image if lines.summary else {})
    statement, doubts = _doubt(row, repeats, lines, policy, evidence)
    meta: dict[str, object] = {
        "evidence": evidence,
        "promise": policy.promise_hash,
        "ruling": statement.ruling,
    }
    fields: dict[str, object] = {
        "timestamp": timestamp,
        "extra": _extra(row, lines, held=bool(doubts)),
    }
    if doubts:
        raw = row.raw or _render(row, statement)
        fields |= {"verdict": None, "status": "undecided", "raw": raw}
        fields["reason"] = f"{doubts[0].code}: {describe_doubts(doubts)}"
        meta["why"] = codes_of_doubts(doubts)
    elif statement.ruling is None:
        meta["why"] = codes_of(row)
    else:
        fields |= {"verdict": statement.ruling, "status": "decided"}
        fields["reason"] = row.reason if row.verdict is not None else statement.reason
        meta |= {"why": [], "inputs_hash": row.meta.inputs_hash or lines.inputs_hash}
    fields["meta"] = row.meta.model_copy(update=meta)
    if lines.summary and row.label is None:
        fields["label"] = lines.summary.label
    return row.model_copy(update=fields)


def read_again(row: VerdictRow, formats: TextFormats) -> VerdictRow:
    """Read the text of a row in other formats, if nothing but its format kept it from being read.

    Its scores were those of other openings, and are not known.
    """
    if codes_of(row) != [FORMAT] or not _failed_by_text_alone(row):
        return row
    judgement = judgement_of(row.raw, formats.verdict)
    if judgement is None:
        return row
    meta: dict[str, object] = {"formats": formats_meta(formats), "ruling": judgement.verdict}
    return row.model_copy(
        update={
            "verdict": judgement.verdict,
            "reason": judgement.reason,
            "p_pass": None,
            "status": "decided",
            "meta": row.meta.model_copy(update={**meta, "why": [], "log_odds": None}),
        }
    )


def _failed_by_text_alone(row: VerdictRow) -> bool:
    """Whether a whole text that its format cannot read is all that speaks against a verdict.

    A verdict beside the text that was no verdict, or another than the text's, is kept in `extra`.
    """
    answer = row.meta.answers.get("verdict")
    if (answer and answer.finish_reason != "stop") or "verdict" in row.extra:
        return False
    form = verdict_format_of(row.meta.formats)
    is_read = form is not None and judgement_of(row.raw, form) is not None
    return not (is_read or describe_unfinished(row.extra))


def _doubt(
    row: VerdictRow,
    repeats: DuplicateRows | None,
    lines: GroupLines,
    policy: MissionPolicy,
    evidence: Evidence,
) -> tuple[Statement, list[Doubt]]:
    """List why the verdict of a row does not stand, beside what the model said.

    It said nothing that can be trusted where verdicts, or parts of the row, contradict each other.
    """
    statement = statement_of(row)
    nothing = statement._replace(ruling=None)
    if repeats is not None:
        return nothing, [Doubt(DUPLICATE_GROUP, repeats.description)]
    if row.verdict is not None and row.meta.why:
        problem = f"verdict 写{row.verdict}, 行里却写明"
        return nothing, sorted_doubts([Doubt(code, problem) for code in row.meta.why])
    if statement.ruling is not None:
        doubts = _doubts_of_lines(row, statement, lines, policy)
        if statement.ruling == PASS:
            doubts += policy.origin_doubts(lines.summary.meta if lines.summary else None, row.meta)
        form = verdict_format_of(row.meta.formats)
        doubts += policy.doubts(statement, evidence.items, form.fail_word if form else FAIL)
        return statement, sorted_doubts(doubts)
    if row.verdict is not None:
        return statement, [Doubt(CONTRADICTION, f"verdict 写{row.verdict}, raw 写的却不是")]
    return statement, []


def _extra(row: VerdictRow, lines: GroupLines, *, held: bool) -> dict[str, JsonValue]:
    """Join the keys of other tools; a reason that is overwritten is kept, to be found again."""
    extra: dict[str, JsonValue] = (lines.summary.extra if lines.summary else {}) | row.extra
    if held and row.verdict is not None and row.reason not in row.raw:
        return {**extra, "reason": row.reason}
    return extra


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
    if gap := describe_gap(summary):
        doubts.append(incomplete_doubt(gap))
    elif statement.ruling == PASS and not summary.meta.checkpoint:
        doubts += [incomplete_doubt(told) for told in describe_no_summaries(summary.per_image)]
    if row.meta.inputs_hash not in (None, lines.inputs_hash):
        doubts.append(incomplete_doubt(OTHER_LINES))
    left_out = summary.meta.left_out or row.meta.left_out
    doubts += left_out_doubts(statement.ruling, left_out)
    return doubts + policy.reuse_doubts(summary)


def _former_doubts(row: VerdictRow, kept: Sequence[str]) -> list[Doubt]:
    """List doubts that the row tells of, and which nothing else could tell anew."""
    _, message = split_reason(row.reason)
    codes = [code for code in codes_of(row) if code in kept]
    return [Doubt(code, "" if index else message) for index, code in enumerate(codes)]


def _render(row: VerdictRow, statement: Statement) -> str:
    """Write what a tool said that gave no text, which the reason of the row makes room for."""
    form = verdict_format_of(row.meta.formats)
    if statement.ruling is None or form is None:
        return ""
    return verdict.render(Judgement(statement.ruling, statement.reason), form)
