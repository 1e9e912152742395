"""Verdict rows: what each was made from, and why a group is undecided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import JsonValue

from shenhe.formats.text_formats import PLAIN, TextFormats, VerdictFormat
from shenhe.messages import Answer
from shenhe.row_types import Evidence, Failure, SummaryRow, VerdictMeta, VerdictRow, utc_now
from shenhe.rows.row_formats import formats_meta
from shenhe.rows.statements import Statement
from shenhe.rows.verdict_inputs import hash_inputs
from shenhe.runs.deciding import (
    Doubt,
    MissionPolicy,
    codes_of_doubts,
    describe_doubts,
    left_out_doubts,
    sorted_doubts,
)
from shenhe.runs.row_parts import answer_meta, group_failure
from shenhe.runs.verdict_policy import VoteResult, log_odds, p_pass
from shenhe.runs.work import Record, Rejection
from shenhe.values import PASS, Group, Judgement


class _Source(NamedTuple):
    """What a verdict row takes from the Stage-A row of its group."""

    evidence: Evidence
    inputs_hash: str | None
    extra: Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class VerdictRecords:
    """Makes the records of groups; every undecided one has a failure that says why."""

    prompt_hash: str
    checkpoint: str
    policy: MissionPolicy
    formats: TextFormats = PLAIN

    def judged(self, row: SummaryRow, result: VoteResult) -> Record:
        """Record what the model said of a group, which stands only if nothing is against it."""
        judgement, answer, rejection = result
        evidence = self.policy.find_evidence(row.per_image)
        # The lines show neither faults nor parts on files that were left out.
        doubts = left_out_doubts(judgement.verdict if judgement else None, row.meta.left_out)
        doubts += self.policy.reuse_doubts(row)
        if judgement is not None:
            if judgement.verdict == PASS:
                doubts += self.policy.origin_doubts(row.meta)
            statement = make_statement(judgement, answer, self.formats.verdict)
            fail_word = self.formats.verdict.fail_word
            doubts += self.policy.doubts(statement, evidence.items, fail_word)
        if rejection is not None:
            doubts.append(Doubt(rejection.code, rejection.message))
        doubts = sorted_doubts(doubts)
        reason = f"{doubts[0].code}: {describe_doubts(doubts)}" if doubts else ""
        # An engine without an answer may give one next time: such a row rests on no lines.
        inputs_hash = None if answer is None and rejection else lines_hash_of(row)
        made_from = _Source(evidence, inputs_hash, row.extra)
        return self._record(group_of(row), result, doubts, reason, made_from)

    def unanswerable(
        self,
        group: Group,
        doubts: Sequence[Doubt],
        lines: Mapping[str, str] | None = None,
        inputs_hash: str | None = None,
        extra: Mapping[str, JsonValue] | None = None,
    ) -> Record:
        """Record that a group cannot be judged yet; `lines` and `extra` are what it has."""
        made_from = _Source(self.policy.find_evidence(lines or {}), inputs_hash, extra or {})
        reason = describe_doubts(doubts)
        return self._record(group, VoteResult(None, None), doubts, reason, made_from)

    def _record(
        self,
        group: Group,
        result: VoteResult,
        doubts: Sequence[Doubt],
        reason: str,
        made_from: _Source,
    ) -> Record:
        judgement, answer, _ = result
        standing, form = None if doubts else judgement, self.formats.verdict
        row = VerdictRow(
            group_id=group.group_id,
            mission=group.mission,
            label=group.label,
            verdict=standing.verdict if standing else None,
            reason=standing.reason if standing else reason,
            p_pass=p_pass(answer, form) if answer else None,
            status="decided" if standing else "undecided",
            raw=answer.text if answer else "",
            timestamp=utc_now(),
            meta=VerdictMeta(
                prompt_hash=self.prompt_hash,
                checkpoint=self.checkpoint,
                inputs_hash=made_from.inputs_hash,
                why=codes_of_doubts(doubts),
                formats=formats_meta(self.formats),
                ruling=judgement.verdict if judgement else None,
                log_odds=log_odds(answer, form) if answer else None,
                evidence=made_from.evidence,
                promise=self.policy.promise_hash,
                answers={"verdict": answer_meta(answer)} if answer else {},
            ),
            extra=dict(made_from.extra),
        )
        failures, settled = _failures(group, result, doubts), standing is not None
        return Record(group.key, row, failures, settled=settled, inputs_hash=made_from.inputs_hash)


def _failures(group: Group, result: VoteResult, doubts: Sequence[Doubt]) -> list[Failure]:
    """Make the failure that says why a group is undecided."""
    if not doubts:
        return []
    _, answer, rejection = result
    attempts = rejection.attempts if rejection else answer.attempt + 1 if answer else 1
    cause = Rejection(doubts[0].code, describe_doubts(doubts), attempts, answer)
    return [group_failure(group, group.group_id, cause)]


def group_of(row: SummaryRow) -> Group:
    """Name the group of a Stage-A row."""
    return Group(row.group_id, row.mission, row.label, ())


def lines_hash_of(row: SummaryRow) -> str:
    """Fingerprint the lines that a verdict on a row is made from."""
    fields = {"images", "per_image", "extra"}
    left_out = [{"path": file.path, "kind": file.kind} for file in row.meta.left_out]
    return hash_inputs({**row.model_dump(include=fields), "meta": {"left_out": left_out}})


def make_statement(
    judgement: Judgement, answer: Answer | None, form: VerdictFormat = PLAIN.verdict
) -> Statement:
    """Tell what an answer says of a group, and how surely."""
    scores = (p_pass(answer, form), log_odds(answer, form)) if answer else (None, None)
    return Statement(judgement.verdict, judgement.reason, *scores)
