"""Worlds with known truth: groups, what people say of them, and the log-odds of a model.

Log-odds of good groups are normal round half of their mission's separation, those of bad groups
round minus half of it, both with a standard deviation of 2. The model passes a group if they are 0
or above.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shenhe.rows.outcomes import Outcome
from shenhe.values import FAIL, PASS

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
SPREAD, SEPARATION = 2.0, 4.0


@dataclass(frozen=True)
class Groups:
    """Drawn groups. Shape: (groups,) each. Units: natural log-odds of 通过."""

    bad: Flags
    failed: Flags
    """What people say, who may err."""
    log_odds: Floats
    mission: NDArray[np.intp]
    site: NDArray[np.intp]

    def __getitem__(self, chosen: Flags) -> Groups:
        return Groups(
            self.bad[chosen],
            self.failed[chosen],
            self.log_odds[chosen],
            self.mission[chosen],
            self.site[chosen],
        )

    def passing(self, threshold: float | None) -> Flags:
        """Say which groups pass at a threshold; none without one. Shape: (groups,)."""
        if threshold is None:
            return np.zeros(len(self.bad), bool)
        return self.log_odds >= max(threshold, 0.0)

    def false_pass(self, threshold: float | None) -> float:
        """Give the share of the bad groups that pass."""
        return float(self.passing(threshold)[self.bad].mean())

    def left_to_people(self, threshold: float | None) -> float:
        """Give the share of all groups that the model passes and the threshold stops."""
        return float(((self.log_odds >= 0) & ~self.passing(threshold)).mean())

    def outcomes(self, chosen: Flags, drawing: int = 0) -> list[Outcome]:
        """Make outcomes of groups, as rows would; the number of the drawing is in their keys.

        Shape: chosen (groups,).
        """
        label = ["fail" if failed else "pass" for failed in self.failed[chosen]]
        rows = zip(np.flatnonzero(chosen), label, self.log_odds[chosen].tolist(), strict=True)
        return [
            Outcome(f"{drawing}-{n}", "", label, ruling, None, ruling, log_odds)  # type: ignore[arg-type]
            for n, label, log_odds in rows
            for ruling in (PASS if log_odds >= 0 else FAIL,)
        ]


@dataclass(frozen=True)
class World:
    """How groups come about.

    `missions` are the share and the separation of each. `flipped` is the share of labels that are
    wrong, both ways; `missed` that of the bad groups which people overlook where the model passes
    them; `fooled` that of the bad groups that the model takes for good.
    """

    name: str
    groups: int = 2000
    bad_share: float = 0.2
    sharpness: float = 1.0
    calibrated: bool = False
    digits: int | None = None
    site: int = 1
    likeness: float = 0.8
    missions: tuple[tuple[float, float], ...] = ((1.0, SEPARATION),)
    flipped: float = 0.0
    missed: float = 0.0
    fooled: float = 0.0
    fooled_at: float = 3.0

    def draw(self, chance: np.random.Generator, groups: int | None = None) -> Groups:
        """Draw so many groups, or as many as people have labelled."""
        count = self.groups if groups is None else groups
        site = np.arange(count) // self.site
        bad = (chance.random(site[-1] + 1) < self.bad_share)[site]
        shares = [share for share, _ in self.missions]
        mission = chance.choice(len(shares), count, p=shares)
        separation = np.array([each for _, each in self.missions])[mission]
        log_odds = self._score(chance, bad, separation, site)
        wrong = chance.random(count) < self.flipped
        overlooked = bad & (log_odds >= 0) & (chance.random(count) < self.missed)
        return Groups(bad, (bad ^ wrong) & ~overlooked, log_odds, mission, site)

    def _score(
        self, chance: np.random.Generator, bad: Flags, separation: Floats, site: NDArray[np.intp]
    ) -> Floats:
        own = chance.normal(size=len(bad))
        if self.site > 1:
            shared = chance.normal(size=site[-1] + 1)[site]
            own = np.sqrt(self.likeness) * shared + np.sqrt(1 - self.likeness) * own
        middle = np.where(bad, -separation, separation) / 2
        is_fooled = bad & (chance.random(len(bad)) < self.fooled)
        log_odds = np.where(is_fooled, self.fooled_at, middle) + SPREAD * own
        if self.calibrated:
            log_odds = log_odds * separation / SPREAD**2 + np.log(1 / self.bad_share - 1)
        log_odds = self.sharpness * log_odds
        if self.digits is None:
            return log_odds
        share = np.clip(np.round(1 / (1 + np.exp(-log_odds)), self.digits), 1e-12, 1 - 1e-12)
        rounded: Floats = np.log(share) - np.log1p(-share)
        return rounded


WORLDS = (
    World("calibrated", calibrated=True),
    World("over-confident, four times", sharpness=4),
    World("very sure, twelve times", sharpness=12),
    World("p_pass of one digit", digits=1),
    World("2% bad of 2,000", bad_share=0.02),
    World("3% bad of 5,000", groups=5000, bad_share=0.03),
    World("sites of 5 groups", site=5),
    World("sites of 20 groups", site=20),
    World(
        "four missions of unlike quality", missions=((0.4, 6.0), (0.3, 5.0), (0.2, 4.0), (0.1, 2.0))
    ),
    World("5% of labels wrong, both ways", flipped=0.05),
    World("people miss 30% of the bad ones that pass", missed=0.3),
    World("a fault that the model takes for good, 8% of bad", fooled=0.08),
)
