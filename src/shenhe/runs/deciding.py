"""Why a verdict does not stand: the table of codes, for runs and for what is decided anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from shenhe.config.evidence import EvidenceRules
from shenhe.config.missions import normalize_name
from shenhe.messages import PhotoFacts
from shenhe.photos.reuse import PhotoOwner
from shenhe.row_types import EVIDENCE_OFF, Evidence, RunMeta, SummaryRow
from shenhe.rows.photo_marks import describe_use, facts_of, owner_of
from shenhe.rows.problem_words import NOT_LOOKED_AT
from shenhe.rows.promises import MissionPromise, Promise
from shenhe.rows.statements import INCOMPLETE, Statement
from shenhe.runs.row_parts import describe_left_out
from shenhe.runs.verdict_policy import VerdictPolicy
from shenhe.stages import evidence
from shenhe.values import (
    CONTRADICTION,
    EVIDENCE_MISSING,
    FAIL,
    LEFT_OUT,
    PASS,
    REUSED_PHOTO,
    STAGE_A_INCOMPLETE,
    UNDECIDED_CODES,
    UNSURE,
    EvidenceItem,
    LeftOut,
    ReusedPhoto,
    Ruling,
)


class FindsReuse(Protocol):
    """The photos of all groups, as `photos.reuse.ReuseIndex` has them."""

    def find(self, owner: PhotoOwner, photos: Sequence[PhotoFacts | None]) -> list[ReusedPhoto]:
        """List the uses of a group's photos elsewhere."""


class Doubt(NamedTuple):
    """One code for which a group is undecided, and what a person can do about it.

    The message is empty where that of another code tells all.
    """

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class MissionPolicy:
    """When the verdicts of one mission stand.

    `rules` are its evidence rules, None where it has none or they are turned off; `rules_hash` is
    what rows say of them. `reuse` has the photos of all groups where reused ones hold a group back.
    """

    policy: VerdictPolicy
    name: str
    rules: EvidenceRules | None
    rules_hash: str
    promised: MissionPromise | None
    reuse: FindsReuse | None = None

    @property
    def decisive_options(self) -> dict[str, object]:
        """The options that decide verdicts, as manifests hold them."""
        return {**self.policy.decisive_options, "evidence": self.rules_hash}

    @property
    def promise_hash(self) -> str | None:
        """The name of the promise that decides."""
        return self.policy.promise.hash if self.policy.promise else None

    def find_evidence(self, lines: Mapping[str, str]) -> Evidence:
        """Find what the lines of a group say of the mission's needs and faults."""
        items = evidence.check(lines, self.rules) if self.rules and lines else ()
        return Evidence(rules=self.rules_hash, items=list(items))

    def doubts(
        self, statement: Statement, items: Sequence[EvidenceItem], fail_word: str = FAIL
    ) -> list[Doubt]:
        """List why a ruling does not stand, all that applies; a 不通过 needs no evidence."""
        unsure = self._find_unsureness(statement)
        doubts = [Doubt(UNSURE, unsure)] if unsure else []
        if statement.ruling != PASS:
            return doubts
        doubts += [Doubt(code, _describe(code, items)) for code in evidence.codes(items)]
        if said := evidence.find_contradiction(statement.reason, self.rules, fail_word):
            doubts.append(Doubt(CONTRADICTION, f"结论是通过, 理由却写: {said}"))
        return doubts

    def reuse_doubts(self, row: SummaryRow) -> list[Doubt]:
        """List the doubt about a group whose photos another work order has, whatever was said."""
        if self.reuse is None:
            return []
        uses = self.reuse.find(owner_of(row), facts_of(row))
        told = [_describe_reuse(use) for use in uses if not use.same_order]
        return [Doubt(REUSED_PHOTO, f"照片在别的工单用过: {', '.join(told)}")] if told else []

    def origin_doubts(self, lines: RunMeta | None, verdict: RunMeta | None = None) -> list[Doubt]:
        """List the doubt about a 通过 whose own rows another made than the promise binds.

        A file's manifest and its first row say nothing of rows that were added to it from another
        run. `lines` and `verdict` are what the rows say; None where nothing is to be compared.
        """
        if self.promised is None:
            return []
        bound = self.promised.fingerprint
        pairs = []
        if verdict is not None:
            pairs += [("checkpoint", verdict.checkpoint, bound.checkpoint)]
            pairs += [("prompt", verdict.prompt_hash, bound.prompt)]
        if lines is not None:
            pairs += [("stage_a_checkpoint", lines.checkpoint, bound.stage_a_checkpoint)]
            pairs += [("stage_a_prompt", lines.prompt_hash, bound.stage_a_prompt)]
        told = [
            f"{name} {actual or '未知'}, 承诺的是 {promised or '未知'}"
            for name, actual, promised in pairs
            if actual != promised
        ]
        return [Doubt(UNSURE, f"{PASS}, 但承诺说的不是它: {'; '.join(told)}")] if told else []

    def _find_unsureness(self, statement: Statement) -> str:
        """Describe why a ruling misses its threshold; empty if it does not."""
        if self.policy.promise is None or statement.ruling != PASS:
            return self.policy.doubt(statement.ruling, statement.p_pass)
        if self.promised is None:
            return f"{PASS}, 但承诺不包括任务 {self.name}"
        threshold, odds = self.promised.threshold, statement.log_odds
        if threshold is None:
            return f"{PASS}, 但承诺对任务 {self.name} 没有门槛"
        if odds is None:
            return f"{PASS}, 但概率未知, 无法与承诺的门槛比较"
        # Not `odds < threshold`: what cannot be compared does not pass.
        return (
            "" if odds >= threshold else f"{PASS}, 对数几率 {odds:.6g} 低于承诺的 {threshold:.6g}"
        )


def policy_of_mission(
    policy: VerdictPolicy,
    name: str,
    rules: EvidenceRules | None,
    reuse: FindsReuse | None = None,
) -> MissionPolicy:
    """Make the policy of one mission."""
    kept = rules if policy.evidence else None
    rules_hash = EVIDENCE_OFF if not policy.evidence else kept.hash if kept else ""
    return MissionPolicy(policy, name, kept, rules_hash, find_promised(policy.promise, name), reuse)


def find_promised(promise: Promise | None, name: str) -> MissionPromise | None:
    """Find what is promised of a mission, whatever brackets its name is written with."""
    missions = promise.missions if promise else {}
    normalized = normalize_name(name)
    return next((m for key, m in missions.items() if normalize_name(key) == normalized), None)


def left_out_doubts(ruling: Ruling | None, left_out: Sequence[LeftOut]) -> list[Doubt]:
    """List the doubt about a group that was not looked at whole, whatever was said of it."""
    if not left_out:
        return []
    unread = f"{NOT_LOOKED_AT.zh}: {describe_left_out(left_out)}"
    return [Doubt(LEFT_OUT, f"{ruling}, 但{unread}" if ruling else unread)]


def incomplete_doubt(problem: str) -> Doubt:
    """Make the doubt about a group without one line a photo."""
    return Doubt(STAGE_A_INCOMPLETE, f"{INCOMPLETE}: {problem}")


def sorted_doubts(doubts: Sequence[Doubt]) -> list[Doubt]:
    """Sort doubts, the decisive one first; those of engines stand last."""
    return sorted(doubts, key=lambda doubt: _rank(doubt.code))


def codes_of_doubts(doubts: Sequence[Doubt]) -> list[str]:
    """List each code once."""
    return list(dict.fromkeys(doubt.code for doubt in doubts))


def describe_doubts(doubts: Sequence[Doubt]) -> str:
    """Join the messages of doubts."""
    return "; ".join(doubt.message for doubt in doubts if doubt.message)


def _describe(code: str, items: Sequence[EvidenceItem]) -> str:
    """Describe the items that a code is about."""
    kind = "need" if code == EVIDENCE_MISSING else "fault"
    return evidence.describe([item for item in items if item.kind == kind])


def _describe_reuse(use: ReusedPhoto) -> str:
    relation = "也在" if use.same_content else "几乎同于"
    return f"{use.photo}{relation} {describe_use(use)}"


def _rank(code: str) -> int:
    return UNDECIDED_CODES.index(code) if code in UNDECIDED_CODES else len(UNDECIDED_CODES)
