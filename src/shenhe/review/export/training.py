"""Corrected lines and verdicts as rows to train from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from shenhe.config import Mission
from shenhe.errors import FormatError
from shenhe.exports.messages import conversation_row
from shenhe.formats import summary as summary_format
from shenhe.formats import verdict as verdict_format
from shenhe.locations import locate
from shenhe.review.export.contents import DecidedGroups, Prompting
from shenhe.review.faults import find_faults
from shenhe.review.index import GroupRows
from shenhe.rows.decision_rows import DEFERRED, Decision, Opinion
from shenhe.stages import summary, verdict
from shenhe.values import (
    DUPLICATE_GROUP,
    FAIL,
    LEFT_OUT,
    PASS,
    Judgement,
    photo_key,
)


class UntrainableError(Exception):
    """A group gives no row to train from; the message is counted as the reason."""


def stage_a_rows(
    groups: DecidedGroups, prompting: Prompting, left_out: Counter[str]
) -> Iterator[str]:
    """Yield the corrected lines, each as a conversation about its photo."""
    for decision, group in groups:
        lines = decision.opinion.lines if decision.opinion else {}
        if not lines:
            continue
        try:
            mission = _find_mission(decision, prompting)
            images = images_by_key(group)
        except UntrainableError as error:
            left_out[str(error)] += 1
            continue
        for key, image in images.items():
            if key in lines:
                template, form = prompting.prompts.summary, prompting.formats.summary
                request = summary.request(key, locate(image), mission, template, 1)
                answer = summary_format.write(lines[key], form)
                yield conversation_row(request.messages, answer, [image])


def stage_b_rows(
    groups: DecidedGroups, prompting: Prompting, left_out: Counter[str]
) -> Iterator[str]:
    """Yield the verdicts of groups that were overruled, or whose lines were corrected."""
    faults = prompting.fault_words
    for decision, group in groups:
        opinion = decision.opinion
        if opinion is None or not (_differs(decision, opinion) or opinion.lines):
            continue
        try:
            row = _stage_b_row(decision, opinion, group, prompting, faults)
        except UntrainableError as error:
            left_out[str(error)] += 1
        except FormatError as error:
            left_out[f"{error.code}: {error}"] += 1
        else:
            yield row


def _stage_b_row(
    decision: Decision,
    opinion: Opinion,
    group: GroupRows | None,
    prompting: Prompting,
    faults: Sequence[str],
) -> str:
    """Give the verdict of a person as a conversation about the corrected lines.

    Raises: UntrainableError; FormatError for a reason or a line that no prompt can hold.
    """
    _require_clear(opinion, faults)
    _require_shown(group)
    mission = _find_mission(decision, prompting)
    images = images_by_key(group)
    model_reason, model_lines = (group.verdict.reason, group.lines) if group else ("", {})
    reason = " ".join((opinion.comment or opinion.fault).split())
    if not _differs(decision, opinion):
        reason = reason or model_reason
    if not reason:
        raise UntrainableError("overruled without a comment or a fault: no reason to learn")
    judgement = Judgement(PASS if opinion.choice == PASS else FAIL, reason)
    answer = verdict_format.render(judgement, prompting.formats.verdict)
    verdict_format.parse(answer, prompting.formats.verdict)
    lines = {**model_lines, **opinion.lines}
    if not images.keys() <= lines.keys():
        raise UntrainableError("a photo has no line")
    template, form = prompting.prompts.verdict, prompting.formats.summary
    messages = verdict.messages(lines, mission, template, form)
    return conversation_row(messages, answer, [])


def _differs(decision: Decision, opinion: Opinion) -> bool:
    """Whether a person decided otherwise than the model, or what the model had left undecided."""
    return opinion.choice not in (DEFERRED, decision.verdict)


def _require_clear(opinion: Opinion, faults: Sequence[str]) -> None:
    if opinion.choice == DEFERRED:
        raise UntrainableError("待定: no verdict to learn")
    if opinion.choice == PASS and find_faults(opinion, faults):
        raise UntrainableError("通过 with a fault: no verdict to learn")


def _require_shown(group: GroupRows | None) -> None:
    """Require that the lines of a group show all that a person decided on."""
    codes = group.verdict.meta.why if group else ()
    code = next((code for code in codes if code in (LEFT_OUT, DUPLICATE_GROUP)), "")
    if code:
        raise UntrainableError(f"{code}: the lines do not show what was decided on")


def _find_mission(decision: Decision, prompting: Prompting) -> Mission:
    mission = prompting.missions.find(decision.mission)
    if mission is None:
        raise UntrainableError(f"{decision.mission}: no such mission")
    return mission


def images_by_key(group: GroupRows | None) -> dict[str, str]:
    """Give the photos of a group by their keys.

    Raises: UntrainableError where there are none.
    """
    if group is None or not group.images:
        raise UntrainableError("the group's photos are not there any more")
    return {photo_key(index): image for index, image in enumerate(group.images)}
