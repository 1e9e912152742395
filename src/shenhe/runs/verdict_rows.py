"""Verdict rows: what each was made from, and why a group is undecided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from shenhe.messages import Answer
from shenhe.row_types import Failure, SummaryRow, VerdictMeta, VerdictRow, utc_now
from shenhe.rows.verdict_inputs import hash_inputs
from shenhe.runs.row_parts import answer_meta, group_failure
from shenhe.runs.verdict_policy import p_pass
from shenhe.runs.work import Record, Rejection
from shenhe.values import LEFT_OUT, UNDECIDED_CODES, Group, Judgement


@dataclass(frozen=True, slots=True)
class VerdictRecords:
    """Makes the records of groups; every undecided one has a failure that says why."""

    prompt_hash: str
    checkpoint: str

    def decided(
        self, row: SummaryRow, judgement: Judgement | None, answer: Answer | None
    ) -> Record:
        """Record a verdict."""
        return self._record(group_of(row), [], judgement, answer, lines_hash_of(row), [])

    def rejected(self, row: SummaryRow, rejection: Rejection, codes: Sequence[str]) -> Record:
        """Record that an answer makes no verdict; the codes are put in their usual order."""
        group = group_of(row)
        codes = sorted(dict.fromkeys(codes), key=_rank)
        failure = group_failure(group, group.group_id, replace(rejection, code=codes[0]))
        # An engine without an answer may give one next time: such a row rests on no lines.
        inputs_hash = lines_hash_of(row) if rejection.answer else None
        reason = f"{rejection.code}: {rejection.message}"
        return self._record(group, [failure], None, rejection.answer, inputs_hash, codes, reason)

    def unanswerable(
        self, group: Group, reason: str, codes: Sequence[str], inputs_hash: str | None = None
    ) -> Record:
        """Record that a group cannot be judged yet."""
        failure = group_failure(group, group.group_id, Rejection(codes[0], reason, 1))
        return self._record(group, [failure], None, None, inputs_hash, codes, reason)

    def _record(
        self,
        group: Group,
        failures: list[Failure],
        judgement: Judgement | None,
        answer: Answer | None,
        inputs_hash: str | None,
        codes: Sequence[str],
        reason: str = "",
    ) -> Record:
        row = VerdictRow(
            group_id=group.group_id,
            mission=group.mission,
            label=group.label,
            verdict=judgement.verdict if judgement else None,
            reason=judgement.reason if judgement else reason,
            p_pass=p_pass(answer) if answer else None,
            status="decided" if judgement else "undecided",
            raw=answer.text if answer else "",
            timestamp=utc_now(),
            meta=VerdictMeta(
                prompt_hash=self.prompt_hash,
                checkpoint=self.checkpoint,
                inputs_hash=inputs_hash,
                why=list(codes),
                answers={"verdict": answer_meta(answer)} if answer else {},
            ),
        )
        settled = judgement is not None
        return Record(group.key, row, failures, settled=settled, inputs_hash=inputs_hash)


def group_of(row: SummaryRow) -> Group:
    """Name the group of a Stage-A row."""
    return Group(row.group_id, row.mission, row.label, ())


def lines_hash_of(row: SummaryRow) -> str:
    """Fingerprint the lines that a verdict on a row is made from."""
    return hash_inputs(row.model_dump(mode="json"))


def left_out_codes(row: SummaryRow) -> list[str]:
    """List the code of a group that was not looked at whole; empty if it was."""
    return [LEFT_OUT] if row.meta.left_out else []


def _rank(code: str) -> int:
    return UNDECIDED_CODES.index(code) if code in UNDECIDED_CODES else len(UNDECIDED_CODES)
