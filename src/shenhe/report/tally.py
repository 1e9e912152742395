"""Reading of a run folder: totals of every mission, and the groups that most need a look."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from shenhe.errors import RunError
from shenhe.reservoir import Reservoir
from shenhe.row_types import SummaryRow, VerdictRow
from shenhe.rows.need import need_of
from shenhe.rows.outcomes import Outcome
from shenhe.rows.readers import read_summaries, read_verdicts
from shenhe.shards import list_rows_files
from shenhe.values import EXPECTED, PASS

UNDECIDED = "undecided"
UNSTATED = ""
"""The code of undecided groups of earlier versions, which stated none apart from the reason."""
DRAWN = 50_000
"""Maximum number of groups of which curves are drawn."""


@dataclass(slots=True)
class MissionTally:
    """Counts of one mission's verdicts; `confusion` is (label, verdict or undecided) -> groups.

    `why` counts the undecided groups by each of their codes. `evidence` counts the groups by the
    hash of the evidence rules that were applied: empty where the mission has none, "off" where they
    were turned off, null in rows that know of none.

    Example:
        for tally in read_run(Path("out")).missions:
            print(tally.mission, tally.false_passes, tally.failed_by_people)

    """

    mission: str
    verdicts: Counter[str] = field(default_factory=Counter)
    confusion: Counter[tuple[str, str]] = field(default_factory=Counter)
    why: Counter[str] = field(default_factory=Counter)
    evidence: Counter[str | None] = field(default_factory=Counter)

    @property
    def groups(self) -> int:
        """All groups."""
        return self.verdicts.total()

    @property
    def labelled(self) -> int:
        """Groups that people labelled."""
        return self.confusion.total()

    @property
    def agreed(self) -> int:
        """Groups judged as people labelled them."""
        return sum(self.confusion[label, verdict] for label, verdict in EXPECTED.items())

    @property
    def false_passes(self) -> int:
        """Groups that people failed and the machine passed."""
        return self.confusion["fail", PASS]

    @property
    def failed_by_people(self) -> int:
        """Groups that people failed."""
        return sum(n for (label, _), n in self.confusion.items() if label == "fail")

    @property
    def labelled_passes(self) -> int:
        """Groups that the machine passed and people labelled."""
        return sum(n for (_, verdict), n in self.confusion.items() if verdict == PASS)

    def add(self, row: VerdictRow) -> None:
        """Count one verdict."""
        verdict = row.verdict or UNDECIDED
        self.verdicts[verdict] += 1
        self.evidence[row.meta.evidence.rules if row.meta.evidence else None] += 1
        if row.verdict is None:
            self.why.update(set(row.meta.why) or {UNSTATED})
        if row.label:
            self.confusion[row.label, verdict] += 1


@dataclass(frozen=True, slots=True)
class RunReading:
    """What a report shows: all totals, and some groups with their Stage-A rows.

    Example:
        reading = read_run(Path("out"))
        reading.total

    """

    missions: list[MissionTally]
    shown: list[tuple[VerdictRow, SummaryRow | None]]
    outcomes: list[Outcome]
    """Labelled groups, of which curves are drawn; an even sample if they are very many."""

    @property
    def total(self) -> int:
        """All groups of the run."""
        return sum(mission.groups for mission in self.missions)


def read_run(run_dir: Path, max_groups: int = 500) -> RunReading:
    """Read a run folder, holding no more than `max_groups` rows in memory.

    Undecided groups come first, then those judged against their label, then the rest in order.
    Raises: RunError if the folder holds no verdicts, or rows of another form.

    Example:
        reading = read_run(Path("out"), max_groups=0)  # totals alone

    """
    verdict_files = list_rows_files(run_dir / "stage_b")
    if not verdict_files:
        raise RunError(f"{run_dir}: no verdicts in {run_dir / 'stage_b'}; run `shenhe run` first")
    missions: list[MissionTally] = []
    nearest: list[tuple[int, int, VerdictRow]] = []
    outcomes: Reservoir[Outcome] = Reservoir(DRAWN)
    order = 0
    for path in verdict_files:
        tally: MissionTally | None = None
        for row in read_verdicts(path):
            if tally is None or tally.mission != row.mission:
                tally = next((t for t in missions if t.mission == row.mission), None)
                if tally is None:
                    tally = MissionTally(row.mission)
                    missions.append(tally)
            tally.add(row)
            if row.label is not None:
                outcomes.add(Outcome.of(row))
            order += 1
            entry = (-need_of(row), -order, row)
            if len(nearest) < max_groups:
                heapq.heappush(nearest, entry)
            else:
                heapq.heappushpop(nearest, entry)
    chosen = [row for _, _, row in sorted(nearest, key=lambda entry: (-entry[0], -entry[1]))]
    return RunReading(missions, _with_summaries(run_dir, chosen), outcomes.items)


def _with_summaries(
    run_dir: Path, chosen: list[VerdictRow]
) -> list[tuple[VerdictRow, SummaryRow | None]]:
    keys = {row.key for row in chosen}
    summaries = {
        row.key: row
        for path in list_rows_files(run_dir / "stage_a")
        for row in read_summaries(path)
        if row.key in keys
    }
    return [(row, summaries.get(row.key)) for row in chosen]
