"""Reasons for failing a group, as the pages offer them: chips with keys, then a list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from shenhe.config import Missions
from shenhe.row_types import utc_now
from shenhe.rows.decisions import Decisions

KEYS: Final = "4567890"
"""The keys of the first reasons, in the order of a keyboard."""
FURTHER: Final = ("照片不全", "照片不清", "标签有误", "其他")
"""Reasons for 不通过 beside the faults of the vocabulary."""
LAST_DECISIONS: Final = 1000
"""How many decisions on a mission are looked at for the reasons that people use."""
_HOUR: Final = len("2026-11-26T08")


class Chip(NamedTuple):
    """A reason to choose; `key` is empty for one that is only in the list."""

    text: str
    key: str


class Reasons:
    """The reasons that the pages of a run offer.

    The mission's own come first, in the order of its rules, then those that the run's reviewers
    use most, then the vocabulary. Uses are counted up to the last full hour: the keys do not
    change under the hand, and all servers of a run have the same.

    Example:
        reasons = Reasons(load_missions(), index.decisions, load_vocabulary().faults)
        reasons.offer("BBU接地线检查", chosen=["生锈"])

    """

    def __init__(self, missions: Missions, decisions: Decisions, vocabulary: Sequence[str]) -> None:
        """Offer the reasons of missions, by the uses in the decisions of a run."""
        self.vocabulary = tuple(vocabulary)
        self._missions, self._decisions = missions, decisions
        self._ordered: dict[str, tuple[str, tuple[str, ...]]] = {}

    def offer(self, mission: str, chosen: Sequence[str] = ()) -> tuple[Chip, ...]:
        """Give the reasons of a mission; chosen ones that are none of these come last.

        Raises: RunError if the decisions cannot be read.
        """
        texts = tuple(dict.fromkeys((*self._order(mission), *chosen)))
        keys = (*KEYS, *("" for _ in texts[len(KEYS) :]))
        return tuple(map(Chip, texts, keys))

    def _order(self, mission: str) -> tuple[str, ...]:
        hour = utc_now()[:_HOUR]
        known = self._ordered.get(mission)
        if known is None or known[0] != hour:
            texts = (*self._own(mission), *self._used(mission, hour), *self.vocabulary, *FURTHER)
            known = self._ordered[mission] = hour, tuple(dict.fromkeys(texts))
        return known[1]

    def _own(self, mission: str) -> Sequence[str]:
        named = self._missions.find(mission)
        return [fault.title for fault in named.evidence.faults] if named and named.evidence else []

    def _used(self, mission: str, before: str) -> list[str]:
        decisions = self._decisions.last_on(mission, before, LAST_DECISIONS)
        counts = Counter(
            fault
            for decision in decisions
            if decision.opinion and decision.undoes is None
            for fault in decision.opinion.faults
        )
        return [fault for fault, _ in counts.most_common()]
