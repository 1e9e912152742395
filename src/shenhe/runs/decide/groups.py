"""What decides the verdicts of groups: the policy of their mission, and their lines."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from shenhe.config import Missions
from shenhe.photos.reuse import ReuseIndex
from shenhe.row_types import SummaryRow, VerdictRow
from shenhe.rows.duplicates import DuplicateRow, DuplicateRows
from shenhe.rows.keys import mission_in_one_spelling
from shenhe.rows.lookup import LocatedRow, RowLookup
from shenhe.rows.promise_fingerprints import find_rows
from shenhe.runs.decide.rows import GroupLines
from shenhe.runs.deciding import MissionPolicy, policy_of_mission
from shenhe.runs.verdict_policy import VerdictPolicy
from shenhe.runs.verdict_rows import lines_hash_of
from shenhe.values import Label, group_key


@dataclass(slots=True)
class _Mission:
    policy: MissionPolicy
    stage_a: RowLookup[SummaryRow] | None


class Groups:
    """The groups of a run, by the missions of their rows."""

    def __init__(
        self,
        stage_a: Path,
        missions: Missions,
        policy: VerdictPolicy,
        reuse: ReuseIndex | None = None,
    ) -> None:
        self._folder, self._configured, self._policy = stage_a, missions, policy
        self._reuse = reuse
        self._missions: dict[str, _Mission] = {}
        self._closing = ExitStack()

    def close(self) -> None:
        """Close the files of Stage-A."""
        self._closing.close()

    @property
    def unconfigured(self) -> list[str]:
        """Missions of rows that no file of missions has: they have no evidence rules."""
        return [name for name in self._missions if self._configured.find(name) is None]

    def policy(self, mission: str) -> MissionPolicy:
        """Give the policy of a mission."""
        return self._mission(mission).policy

    def lines(self, row: VerdictRow) -> GroupLines:
        """Find the lines of the group of a verdict.

        Raises: RunError if Stage-A cannot be read.
        """
        stage_a = self._mission(row.mission).stage_a
        if stage_a is None:
            return GroupLines()
        rows = stage_a.find(row.key) or _find_otherwise(stage_a, row)
        if not rows:
            return GroupLines(expected=True)
        if len(rows) > 1 and (repeats := _repeats_of(rows)).differ:
            return GroupLines(repeats=repeats, is_listed=True, expected=True)
        summary = rows[0].row
        inputs_hash = lines_hash_of(summary) if summary else None
        return GroupLines(summary, inputs_hash, is_listed=True, expected=True)

    def count(self) -> int:
        """Count the groups of Stage-A."""
        return sum(mission.stage_a.groups for mission in self._missions.values() if mission.stage_a)

    def _mission(self, name: str) -> _Mission:
        spelling = mission_in_one_spelling(name)
        if spelling not in self._missions:
            configured = self._configured.find(name)
            policy = policy_of_mission(
                self._policy, name, configured.evidence if configured else None, self._reuse
            )
            path = find_rows(self._folder, name)
            stage_a = RowLookup(path, SummaryRow) if path else None
            if stage_a:
                self._closing.callback(stage_a.close)
            self._missions[spelling] = _Mission(policy, stage_a)
        return self._missions[spelling]


def _find_otherwise(
    stage_a: RowLookup[SummaryRow], row: VerdictRow
) -> list[LocatedRow[SummaryRow]]:
    """Find a group whose label only one of both rows names.

    Where groups of one id stand under several labels, nobody can tell which of them is meant.
    """
    labels: tuple[Label | None, ...] = ("pass", "fail") if row.label is None else (None,)
    keys = (group_key(row.mission, label, row.group_id) for label in labels)
    candidates = [rows for key in keys if (rows := stage_a.find(key))]
    return candidates[0] if len(candidates) == 1 else []


def _repeats_of(rows: Sequence[LocatedRow[SummaryRow]]) -> DuplicateRows:
    """Compare several Stage-A rows of one group."""
    hashes = (lines_hash_of(located.row) if located.row else "" for located in rows)
    return DuplicateRows(
        tuple(
            DuplicateRow(located.file, located.line, inputs_hash)
            for located, inputs_hash in zip(rows, hashes, strict=True)
        )
    )
