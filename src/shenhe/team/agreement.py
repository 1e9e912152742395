"""Agreement of two people who judged the same groups: the table, the share, Cohen's kappa.

待定 is no verdict: pairs in which somebody said it stand in the table, and are counted beside the
figures, which are of the others.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, NamedTuple

from shenhe.proportions import Share

VERDICTS: Final = ("通过", "不通过")
CHOICES: Final = (*VERDICTS, "待定")
CONFIDENCE: Final = 0.95


class Pair(NamedTuple):
    """Two opinions on a group: of the person who decided it, and of whoever was asked second."""

    mission: str
    first: str
    second: str
    first_choice: str
    second_choice: str


class Kappa(NamedTuple):
    """Cohen's kappa of two columns of verdicts.

    `value` is None where chance alone would agree always, as where all verdicts are one. `interval`
    is None where it cannot be told: the figures do not vary.
    """

    value: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Agreement:
    """What two people, or all pairs of people, said of the same groups.

    `table` counts pairs of choices. `deferred` is the number of pairs in which somebody said 待定,
    which are in no figure.
    """

    table: Mapping[tuple[str, str], int]

    @property
    def deferred(self) -> int:
        """Number of pairs with a 待定."""
        return sum(count for choices, count in self.table.items() if "待定" in choices)

    @property
    def share(self) -> Share:
        """Pairs that agree, of those in which both gave a verdict."""
        both = {pair: count for pair, count in self.table.items() if "待定" not in pair}
        return Share(sum(both.get((v, v), 0) for v in VERDICTS), sum(both.values()))

    @property
    def kappa(self) -> Kappa:
        """Cohen's kappa of the pairs in which both gave a verdict."""
        return cohens_kappa([[self.table.get((a, b), 0) for b in VERDICTS] for a in VERDICTS])


def agree(pairs: Iterable[Pair]) -> Agreement:
    """Count pairs of opinions, the first one's choice before the second one's.

    >>> agree([Pair("m", "李工", "王工", "通过", "通过")]).share
    Share(count=1, total=1)
    """
    return Agreement(Counter((pair.first_choice, pair.second_choice) for pair in pairs))


def agree_by_people(pairs: Iterable[Pair]) -> dict[tuple[str, str], Agreement]:
    """Count the pairs of each two people, by their names in order, whoever came first."""
    tables: dict[tuple[str, str], Counter[tuple[str, str]]] = {}
    for pair in pairs:
        names, choices = (pair.first, pair.second), (pair.first_choice, pair.second_choice)
        if names[0] > names[1]:
            names, choices = names[::-1], choices[::-1]
        tables.setdefault(names, Counter())[choices] += 1
    return {names: Agreement(tables[names]) for names in sorted(tables)}


def agree_by_mission(pairs: Iterable[Pair]) -> dict[str, Agreement]:
    """Count the pairs of each mission."""
    of_mission: dict[str, list[Pair]] = {}
    for pair in pairs:
        of_mission.setdefault(pair.mission, []).append(pair)
    return {mission: agree(of_mission[mission]) for mission in sorted(of_mission)}


def cohens_kappa(table: list[list[int]]) -> Kappa:
    """Compute kappa of a square table of counts, with its large-sample interval.

    Shape: classes by classes; rows are the choices of one person, columns those of another one.
    Sources: J. Cohen, 1960; the variance by J. L. Fleiss, J. Cohen and B. S. Everitt, 1969.

        >>> round(cohens_kappa([[20, 5], [10, 15]]).value, 3)
        0.4
    """
    total, size = sum(map(sum, table)), range(len(table))
    if not total:
        return Kappa(None, None)
    p = [[count / total for count in row] for row in table]
    rows = [sum(row) for row in p]
    columns = [sum(p[i][j] for i in size) for j in size]
    observed = sum(p[i][i] for i in size)
    chance = sum(rows[i] * columns[i] for i in size)
    if math.isclose(chance, 1.0):
        return Kappa(None, None)
    kappa = (observed - chance) / (1 - chance)
    on = sum(p[i][i] * (1 - (rows[i] + columns[i]) * (1 - kappa)) ** 2 for i in size)
    off = sum(p[i][j] * (columns[i] + rows[j]) ** 2 for i in size for j in size if i != j)
    middle = (kappa - chance * (1 - kappa)) ** 2
    variance = (on + (1 - kappa) ** 2 * off - middle) / ((1 - chance) ** 2 * total)
    if variance <= 1e-12:
        return Kappa(kappa, None)
    half = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2) * math.sqrt(variance)
    return Kappa(kappa, (max(-1.0, kappa - half), min(1.0, kappa + half)))
