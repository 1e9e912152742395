"""Files of verdicts decided anew, row by row, in the order of the file."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from shenhe.config import Missions
from shenhe.errors import RunError
from shenhe.files import whole_file
from shenhe.formats.text_formats import PLAIN, TextFormats
from shenhe.photos.reuse import ReuseIndex
from shenhe.row_types import utc_now
from shenhe.rows.counts import RunCounts
from shenhe.rows.duplicates import DuplicateRows
from shenhe.rows.first_row import first_row
from shenhe.rows.keys import failures_file, mission_of_file
from shenhe.rows.ledger import OutputLock
from shenhe.rows.manifest import DECIDED_ANEW, Manifest, guidance_of
from shenhe.rows.promise_fingerprints import (
    fingerprint_of_options,
    options_of_output,
    options_of_stage_a,
)
from shenhe.rows.promises import Fingerprint
from shenhe.rows.row_index import drop_index
from shenhe.rows.torn import count_torn_bytes
from shenhe.runs.decide.changes import Changes
from shenhe.runs.decide.folder import STAGE, DecideFolder
from shenhe.runs.decide.groups import Groups
from shenhe.runs.decide.passes import Pass, Reading
from shenhe.runs.decide.workers import write_all
from shenhe.runs.deciding import MissionPolicy, policy_of_mission
from shenhe.runs.verdict_policy import VerdictPolicy
from shenhe.shards import list_rows_files


@dataclass(frozen=True, slots=True)
class VerdictFile:
    """A rows file of finished verdicts.

    `options` are those that the verdicts were made with, `stage_a` those of the lines.

    Example:
        policy = VerdictPolicy(pass_above=0.9)
        for file in find_verdict_files(Path("out")):
            print(file.mission, file.fingerprint(policy, load_missions()))

    """

    path: Path
    mission: str
    options: Mapping[str, object]
    stage_a: Mapping[str, object]

    def decided_options(
        self, policy: MissionPolicy, formats: TextFormats | None = None
    ) -> dict[str, object]:
        """List the options of these verdicts once a policy has decided them.

        `formats` are those that texts are read in, if not as the rows say.
        """
        kept = {name: self.options[name] for name in self.options.keys() - DECIDED_ANEW}
        if formats is not None:
            kept.pop("formats", None)
            kept |= formats.decisive_options
        named = {"stage": STAGE, "mission": self.mission, "rows": str(self.path.absolute())}
        return {**kept, **policy.decisive_options, **named}

    def reading(self, formats: TextFormats | None) -> Reading:
        """Tell how texts are read; of several votes not all texts are known."""
        is_one_vote = self.options.get("votes", 1) == 1
        return Reading(formats or PLAIN, formats if is_one_vote else None)

    def fingerprint(
        self, policy: VerdictPolicy, missions: Missions, formats: TextFormats | None = None
    ) -> Fingerprint:
        """Make the fingerprint of these verdicts once a policy has decided them."""
        configured = missions.find(self.mission)
        rules = configured.evidence if configured else None
        of_mission = policy_of_mission(policy, self.mission, rules)
        return fingerprint_of_options(self.decided_options(of_mission, formats), self.stage_a)


def find_verdict_files(run_dir: Path) -> list[VerdictFile]:
    """Find the verdicts of a run, or of a folder of them.

    Raises: RunError if there are none, or what they were made with cannot be read.

        for file in find_verdict_files(Path("out")):
            print(file.mission, file.path)
    """
    folder = run_dir / "stage_b"
    folder = folder if folder.is_dir() else run_dir
    files = []
    for path in list_rows_files(folder):
        first = first_row(path)
        if "verdict" not in first and ("raw" not in first or "group_id" not in first):
            continue
        mission = str(first.get("mission") or mission_of_file(path))
        options = options_of_output(path)
        stage_a = options_of_stage_a(run_dir, mission, options)
        files.append(VerdictFile(path, mission, options, stage_a))
    if not files:
        raise RunError(f"{run_dir}: no verdicts there; run `shenhe judge` or `shenhe run` first")
    return files


def decide_file(
    file: VerdictFile,
    folder: DecideFolder,
    missions: Missions,
    policy: VerdictPolicy,
    formats: TextFormats | None = None,
    reuse: ReuseIndex | None = None,
) -> Changes:
    """Decide a file of verdicts anew; a group has one row, in the order of the file.

    Texts are read in the formats that their rows name. `formats` are those of texts of other tools,
    and of those that could not be read: of one answer a group, not of several votes. `reuse` has
    the photos of all groups, for a policy that holds reused ones back.
    Raises: RunError if it cannot be read, or the disk refuses what was decided.

        with DecideFolder(Path("anew"), Path("out")).opened(names) as folder:
            changes = decide_file(file, folder, load_missions(), VerdictPolicy(pass_above=0.9))
    """
    rows_path = folder.stage_b / file.path.name
    with OutputLock(rows_path), closing(Groups(folder.stage_a, missions, policy, reuse)) as groups:
        options = file.decided_options(groups.policy(file.mission), formats)
        manifest = Manifest(rows_path, options, guidance_of(file.path))
        counts = RunCounts()
        manifest.write(counts, "running")
        changes = _write_passes(file, groups, rows_path, file.reading(formats))
        changes.count(counts)
        if count_torn_bytes(file.path):
            counts.faults.append(f"{file.path}: ends in the middle of a row, left out")
        missing = groups.count() - changes.with_lines
        if missing > 0:  # verdicts of one group in two spellings count twice
            fault = f"{missing} groups of Stage-A have no verdict; `shenhe judge` makes it"
            counts.faults.append(f"{file.mission}: {fault}")
        manifest.write(counts, "ended", counts.kept().groups)
    return changes


def _write_passes(file: VerdictFile, groups: Groups, rows_path: Path, reading: Reading) -> Changes:
    """Write all rows, once more where several are of one group."""
    repeats: Mapping[str, DuplicateRows] = {}
    with whole_file(rows_path) as rows, whole_file(failures_file(rows_path)) as failures:
        while True:
            one_pass = Pass(file.path, groups, utc_now(), repeats, reading)
            with rows.open("wb") as rows_to, failures.open("wb") as failures_to:
                if repeats:
                    one_pass.write(rows_to, failures_to)
                    break
                write_all(one_pass, file.path, rows_to, failures_to)
            # Several rows of a group are found once all were read; then all is written again.
            repeats = one_pass.find_repeats()
            if not repeats:
                break
        drop_index(rows_path)
    return one_pass.changes
