"""Verdict rows: what each rests on, and why a group is undecided."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from shenhe.config import Mission, Template
from shenhe.errors import FormatError
from shenhe.messages import Answer
from shenhe.row_types import RunMeta, SummaryRow, VerdictRow, utc_now
from shenhe.rows.duplicates import DuplicateRows
from shenhe.rows.verdict_inputs import describe_missing_lines, hash_inputs
from shenhe.runs.jobs import FinishedJob, Job, Rejection
from shenhe.runs.output import Output
from shenhe.runs.probability import p_pass
from shenhe.runs.stage_a import answer_meta, describe_left_out, failure_of
from shenhe.runs.verdict_policy import VerdictPolicy
from shenhe.stages import verdict
from shenhe.values import (
    DUPLICATE_GROUP,
    FORMAT,
    LEFT_OUT,
    STAGE_A_INCOMPLETE,
    UNDECIDED_CODES,
    Group,
    Judgement,
)


class VerdictWriter:
    """Turns outcomes into verdict rows."""

    def __init__(
        self, output: Output, prompt_hash: str, checkpoint: str, policy: VerdictPolicy
    ) -> None:
        self._output, self._prompt_hash, self._checkpoint = output, prompt_hash, checkpoint
        self._policy = policy

    def jobs(
        self,
        rows: Iterator[SummaryRow],
        mission: Mission,
        template: Template,
        max_new_tokens: int,
        repeated: Mapping[str, DuplicateRows],
    ) -> Iterator[Job[SummaryRow]]:
        """Ask for the verdicts of rows; those that cannot be judged are written as undecided."""
        for row in rows:
            inputs = _rests_on(row)
            if row.key in repeated:
                inputs = repeated[row.key].inputs_hash
                if repeated[row.key].differ:
                    self.undecided(
                        _group(row), repeated[row.key].description, [DUPLICATE_GROUP], inputs
                    )
                    continue
            if lacking := describe_missing_lines(len(row.images), row.per_image):
                codes = [STAGE_A_INCOMPLETE, *_not_whole(row)]
                self.undecided(_group(row), f"第一阶段未完成: {lacking}", codes, inputs)
                continue
            try:
                request = verdict.request(row.key, row.per_image, mission, template, max_new_tokens)
            except FormatError as error:
                bad = Rejection(error.code, f"a Stage-A line is no summary: {error}", 1)
                self._record_bad(row, bad, [error.code, *_not_whole(row)])
            else:
                yield Job(row, self._policy.requests_for_votes(request))

    def record(self, finished: FinishedJob[SummaryRow, Judgement]) -> None:
        """Write the verdict of a group, which stands only where it was looked at whole."""
        row, result = finished.item, self._policy.count_votes(finished.outcomes)
        for outcome in finished.outcomes:
            if outcome.answer:
                self._output.counts.new_tokens += outcome.answer.new_tokens
        # The lines do not show all that lies in the group: neither what is wrong nor what is there.
        why = _not_whole(row)
        unseen = f"未查看: {describe_left_out(row.meta.left_out)}" if why else ""
        if result.rejection is not None:
            bad = _coded(result.rejection)
            bad = replace(bad, message=f"{unseen}; {bad.message}") if why else bad
            self._record_bad(row, bad, [*why, bad.code])
        elif why:
            said = result.judgement.verdict if result.judgement else ""
            bad = Rejection(why[0], f"{said}, 但{unseen}", 1, result.answer)
            self._record_bad(row, bad, why)
        else:
            self._write(_group(row), result.judgement, result.answer, _rests_on(row), [])

    def undecided(
        self, group: Group, reason: str, why: Sequence[str], inputs: str | None = None
    ) -> None:
        """Write that a group cannot be decided yet."""
        failures = [failure_of(group, group.group_id, Rejection(why[0], reason, 1))]
        self._output.add_failures(group.key, failures)
        self._write(group, None, None, inputs, why, reason)

    def _record_bad(self, row: SummaryRow, bad: Rejection, why: Sequence[str]) -> None:
        group = _group(row)
        why = sorted(dict.fromkeys(why), key=_place)
        told = replace(bad, code=why[0])
        self._output.add_failures(group.key, [failure_of(group, group.group_id, told)])
        # An engine that gave no answer may give one next time: such a row rests on no lines.
        inputs = _rests_on(row) if bad.answer else None
        self._write(group, None, bad.answer, inputs, why, f"{bad.code}: {bad.message}")

    def _write(
        self,
        group: Group,
        judgement: Judgement | None,
        answer: Answer | None,
        inputs_hash: str | None,
        why: Sequence[str],
        reason: str = "",
    ) -> None:
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
            meta=RunMeta(
                prompt_hash=self._prompt_hash,
                checkpoint=self._checkpoint,
                inputs_hash=inputs_hash,
                why=list(why),
                answers={"verdict": answer_meta(answer)} if answer else {},
            ),
        )
        settled = judgement is not None
        self._output.add(row, group.key, settled=settled, inputs_hash=inputs_hash)


def _not_whole(row: SummaryRow) -> list[str]:
    """Give the code of a group that was not looked at whole, where it was not."""
    return [LEFT_OUT] if row.meta.left_out else []


def _coded(bad: Rejection) -> Rejection:
    """Give an answer that keeps no format the one code for that; its own goes into the message."""
    if bad.answer is None or bad.code in UNDECIDED_CODES:
        return bad
    return replace(bad, code=FORMAT, message=f"{bad.code}: {bad.message}")


def _place(code: str) -> int:
    return UNDECIDED_CODES.index(code) if code in UNDECIDED_CODES else len(UNDECIDED_CODES)


def _rests_on(row: SummaryRow) -> str:
    return hash_inputs(row.model_dump(mode="json"))


def _group(row: SummaryRow) -> Group:
    return Group(row.group_id, row.mission, row.label, ())
