"""Files of Stage-A rows: where they are, and of which mission."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shenhe.config import Mission, Missions
from shenhe.config.missions import normalize_name
from shenhe.errors import RowError, RunError, UsageError, spelled
from shenhe.row_types import SummaryRow
from shenhe.rows.fields import mission_of
from shenhe.rows.keys import failures_file, mission_of_file, rows_file
from shenhe.rows.ledger import read_rows
from shenhe.rows.readers import KeyedRow, read_each
from shenhe.rows.torn import count_torn_bytes
from shenhe.shards import list_rows_files

_NO_MISSION: Final = "has no 'mission', and its file is not named after one"
FINISH_STAGE_A: Final = "have the `shenhe summarize` that wrote it go on, then run this again"


@dataclass(frozen=True, slots=True)
class StageASource:
    """The Stage-A rows of one mission."""

    mission: Mission
    path: Path

    def read(self, keyed: KeyedRow[SummaryRow] | RowError) -> SummaryRow:
        """Check a whole row.

        Raises: RowError if it is no Stage-A row, or one of another mission.
        """
        if isinstance(keyed, RowError):
            raise keyed
        row = keyed.parse()
        if normalize_name(row.mission) not in _names_of(self.mission):
            problem = f"is of mission {row.mission}, and the file is of {self.mission.name}"
            if not keyed.json.get("mission"):
                problem = _NO_MISSION
            raise RowError(keyed.path, keyed.line, problem)
        return row


def find_stage_a(source: Path, missions: Missions) -> list[StageASource]:
    """Find Stage-A files: one file, or all rows files of a folder. One mission a file.

    A file's mission is the one after which it is named, or else that of its first row.
    Raises: RunError if there is none, or a file holds no row that can be judged; UsageError for a
    mission that is not known.

        for source in find_stage_a(Path("out/stage_a"), load_missions()):
            print(source.mission.name, source.path)
    """
    paths = list_rows_files(source) if source.is_dir() else [source]
    if not paths or not paths[0].is_file():
        raise RunError(f"{spelled('stage_a', source)}: no rows there; run `shenhe summarize` first")
    sources = []
    for path in paths:
        if mission := _find_mission(path, missions):
            sources.append(StageASource(mission, path))
        elif torn := count_torn_bytes(path):
            message = f"{path}: holds no whole row, and {torn} bytes of one: {FINISH_STAGE_A}"
            raise RunError(message)
    return sources


def _find_mission(path: Path, missions: Missions) -> Mission | None:
    """Find the mission of a file; None if it holds nothing.

    Raises: RunError if it holds no row that can be judged; UsageError for an unknown mission.
    """
    name = normalize_name(mission_of_file(path))
    named = next((mission for mission in missions if name in _names_of(mission)), None)
    problem: RunError | UsageError | None = None
    for keyed in read_each(path, SummaryRow):
        try:
            mission = named or _mission_of(keyed, missions)
            StageASource(mission, path).read(keyed)
        except (RowError, UsageError) as error:
            problem = problem or error
        else:
            return mission
    if isinstance(problem, UsageError):
        raise problem
    if problem is not None:
        raise RunError(f"{path}: holds no row that can be judged: {problem}")
    failure = next(read_rows(failures_file(path)), None)
    return missions.get(str(failure.get("mission"))) if failure else None


def _mission_of(keyed: KeyedRow[SummaryRow] | RowError, missions: Missions) -> Mission:
    """Find the mission that a row names."""
    if isinstance(keyed, RowError):
        raise keyed
    if not keyed.json.get("mission"):
        raise RowError(keyed.path, keyed.line, _NO_MISSION)
    return missions.get(mission_of(keyed.json))


def _names_of(mission: Mission) -> set[str]:
    """Give the names that rows and their file may have for a mission."""
    return {normalize_name(name) for name in (mission.name, rows_file(Path(), mission.name).stem)}
