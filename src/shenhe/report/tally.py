"""Reading of a run folder for its page: totals, and the groups that need a look the most."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shenhe.report.choice import WHOLE_RUN, SheetChoice
from shenhe.report.reading import MissionTotals, SheetGroup, SheetReading
from shenhe.reservoir import Reservoir
from shenhe.rows.decision_rows import Decision
from shenhe.rows.need import need_of
from shenhe.rows.outcomes import Outcome

DRAWN: Final = 50_000
"""Maximum number of groups of which curves are drawn."""


@dataclass(frozen=True, slots=True)
class RunReading:
    """What a page shows: all totals, and some groups with their Stage-A rows.

    Example:
        reading = read_run(Path("out"))
        reading.total

    """

    source: SheetReading
    shown: list[SheetGroup]
    outcomes: list[Outcome]
    """Labelled groups, of which curves are drawn; an even sample if they are very many."""

    @property
    def missions(self) -> list[MissionTotals]:
        """The counts of each mission."""
        return list(self.source.totals.values())

    @property
    def total(self) -> int:
        """All groups."""
        return sum(mission.groups for mission in self.missions)


def read_run(
    run_dir: Path,
    max_groups: int = 500,
    choice: SheetChoice = WHOLE_RUN,
    decisions: Iterable[Decision] | None = None,
) -> RunReading:
    """Read a run folder, holding no more than `max_groups` rows in memory.

    Undecided groups come first, then those judged against their label, then the rest in order.
    Raises: RunError if the folder holds no verdicts or none that is chosen, or rows of another
    form.

    Example:
        reading = read_run(Path("out"), max_groups=0)  # totals alone

    """
    source = SheetReading(run_dir, choice, decisions, lines=max_groups > 0)
    nearest: list[tuple[int, int, SheetGroup]] = []
    outcomes: Reservoir[Outcome] = Reservoir(DRAWN)
    for order, group in enumerate(source.groups()):
        if group.label is not None:
            outcomes.add(Outcome.of(group.row)._replace(label=group.label))
        entry = (-need_of(group.row), -order, group)
        if len(nearest) < max_groups:
            heapq.heappush(nearest, entry)
        else:
            heapq.heappushpop(nearest, entry)
    nearest.sort(key=lambda entry: (-entry[0], -entry[1]))
    return RunReading(source, [group for _, _, group in nearest], outcomes.items)
