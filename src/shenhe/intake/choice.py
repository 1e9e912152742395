"""Which groups of a mission a run looks at: all but the excluded ones, or a sample of these.

A sample takes the groups whose hash of seed and key is least: it is the same whatever order they
are listed in, a larger one holds a smaller one, and a new group changes it by one group at most.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field

from shenhe.errors import OptionError, spelled
from shenhe.intake.tree import GroupId
from shenhe.rows.group_names import GroupNames
from shenhe.rows.keys import in_one_spelling
from shenhe.values import Label, group_key

_NAMES: Mapping[Label | None, str] = {"pass": "passed", "fail": "failed", None: "unlabelled"}


@dataclass(frozen=True, slots=True)
class Chosen:
    """The groups of a mission that are looked at; `keys` are those of a sample, else None.

    `available` are the groups by label that are not excluded, `taken` those that were chosen.
    """

    mission: str
    available: Counter[Label | None]
    taken: Counter[Label | None]
    excluded: int = 0
    keys: frozenset[str] | None = None
    exclude: GroupNames | None = None

    def __contains__(self, key: object) -> bool:
        if self.keys is not None:
            return key in self.keys
        excluded = self.exclude
        return excluded is None or not (isinstance(key, str) and excluded.match_key(key))

    @property
    def total(self) -> int:
        """Number of groups that are looked at."""
        return self.taken.total()

    def describe(self) -> str:
        """Say what was chosen of how many; empty where all groups were."""
        if self.keys is None:
            return f"{self.mission}: {self.excluded} groups excluded" if self.excluded else ""
        parts = ", ".join(
            f"{self.taken[label]} of {count:,} {_NAMES[label]}"
            for label, count in self.available.items()
            if count
        )
        excluded = f"; {self.excluded} excluded" if self.excluded else ""
        return f"{self.mission}: a sample of {self.total} groups: {parts or 'none there'}{excluded}"


@dataclass(frozen=True, slots=True)
class GroupChoice:
    """What is asked of the groups of each mission.

    `sample` is the number of groups, in proportion to the labels, or with `sample_failed` so many
    failed ones among them, and the others in proportion.

    >>> GroupChoice(sample=100, sample_failed=20, seed=7).decisive_options
    {'sample': 100, 'sample_failed': 20}
    """

    sample: int | None = None
    sample_failed: int | None = None
    seed: int = 0
    exclude: GroupNames | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises: OptionError.
        """
        if self.sample_failed is None:
            return
        if self.sample is None:
            problem = f"say how many in all: {spelled('sample')}"
            raise OptionError("sample_failed", self.sample_failed, problem)
        if self.sample_failed > self.sample:
            problem = f"more than the whole sample, which is {self.sample}"
            raise OptionError("sample_failed", self.sample_failed, problem)

    @property
    def decisive_options(self) -> dict[str, object]:
        """The options that decide which groups have rows, without those that were not given."""
        options: dict[str, object] = {"sample": self.sample, "sample_failed": self.sample_failed}
        if self.exclude is not None:
            options["exclude"] = f"{len(self.exclude)} groups, {self.exclude.hash}"
        return {name: value for name, value in options.items() if value is not None}

    def choose(
        self, groups: Iterable[GroupId], mission: str, done: Container[str] = frozenset()
    ) -> Chosen:
        """Choose of the groups of a mission, in one pass; those that are `done` come first.

        chosen = GroupChoice(sample=1000, seed=7).choose(tree.group_ids(mission), mission.name)
        """
        available: Counter[Label | None] = Counter()
        least: dict[Label | None, list[tuple[int, str]]] = {"pass": [], "fail": [], None: []}
        excluded = 0
        for label, group_id in groups:
            if self.exclude is not None and self.exclude.match(mission, label, group_id):
                excluded += 1
                continue
            available[label] += 1
            if self.sample is not None:
                key = group_key(mission, label, group_id)
                _keep_least(least[label], self.sample, self._rank(key, key in done), key)
        if self.sample is None:
            return Chosen(mission, available, available, excluded, None, self.exclude)
        taken = self._share(available)
        keys = frozenset(
            key
            for label, ranked in least.items()
            for _, key in heapq.nlargest(taken[label], ranked)
        )
        return Chosen(mission, available, taken, excluded, keys)

    def shortage(self, chosen: Chosen) -> str:
        """Say what a sample lacks of what was asked for; empty if nothing."""
        failed, others = chosen.available["fail"], chosen.available.total()
        if self.sample is None:
            return ""
        if self.sample_failed is not None:
            others -= failed
            parts = [
                f"{there} {name} are there, {asked} were asked for"
                for there, name, asked in (
                    (failed, "failed groups", self.sample_failed),
                    (others, "other groups", self.sample - self.sample_failed),
                )
                if there < asked
            ]
        else:
            short = others < self.sample
            parts = [f"{others} groups are there, {self.sample} were asked for"] if short else []
        return f"{chosen.mission}: {' and '.join(parts)}: all of them are taken" if parts else ""

    def _share(self, available: Mapping[Label | None, int]) -> Counter[Label | None]:
        """Say how many groups of each label to take."""
        sample = self.sample or 0
        if self.sample_failed is None:
            return in_proportion(sample, available)
        others = {**available, "fail": 0}
        taken = in_proportion(sample - self.sample_failed, others)
        taken["fail"] = min(self.sample_failed, available.get("fail", 0))
        return taken

    def _rank(self, key: str, is_done: bool) -> int:
        """Rank a key: the least ones are taken."""
        text = f"{self.seed}\x1f{in_one_spelling(key)}".encode("utf-8", "surrogatepass")
        number = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")
        return number if is_done else number + (1 << 64)


def in_proportion(count: int, available: Mapping[Label | None, int]) -> Counter[Label | None]:
    """Share a number among labels in proportion to their groups, one of each that is there if it
    can be; all where there are no more.

    >>> in_proportion(10, {"pass": 900, "fail": 90, None: 2})
    Counter({'pass': 8, 'fail': 1, None: 1})
    """
    labels = [label for label, there in available.items() if there]
    total = sum(available.values())
    if count >= total:
        return Counter({label: available[label] for label in labels})
    exact = {label: count * available[label] / total for label in labels}
    shares = Counter({label: int(share) for label, share in exact.items()})
    for label in sorted(labels, key=lambda label: (-(exact[label] % 1), _order(label))):
        if shares.total() < count:
            shares[label] += 1
    for label in labels:
        largest = max(labels, key=lambda label: (shares[label], -_order(label)))
        if shares[label] == 0 and shares[largest] > 1:
            shares[label] += 1
            shares[largest] -= 1
    return shares


def _order(label: Label | None) -> int:
    return list(_NAMES).index(label)


def _keep_least(kept: list[tuple[int, str]], size: int, rank: int, key: str) -> None:
    """Keep the `size` least ranks of a stream: the heap has their negatives."""
    entry = (-rank, key)
    if len(kept) < size:
        heapq.heappush(kept, entry)
    elif entry > kept[0]:
        heapq.heapreplace(kept, entry)
