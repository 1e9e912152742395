"""One file of a service's rows: results come in batches, each in the place of its group's last."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from shenhe.printable import on_one_line
from shenhe.row_types import AnswerMeta
from shenhe.rows.counts import RunCounts
from shenhe.rows.failures import read_sessions
from shenhe.rows.keys import failures_file, key_of
from shenhe.rows.ledger import OutputLock, rewrite
from shenhe.rows.manifest import Manifest, manifest_file, replace_options
from shenhe.rows.row_index import RowIndex
from shenhe.runs.output import Output, open_output
from shenhe.runs.work import Record
from shenhe.values import Label, group_key

log = logging.getLogger("shenhe.service")
LABELS: Final[tuple[Label | None, ...]] = (None, "pass", "fail")


@dataclass(frozen=True, slots=True)
class GroupRecord:
    """What a file holds of a group from now on, whatever it held of its earlier versions."""

    mission: str
    group_id: str
    record: Record
    answers: Sequence[AnswerMeta] = ()

    @property
    def keys(self) -> list[str]:
        """The keys of all rows of the group: its folder may have moved to another label."""
        return [group_key(self.mission, label, self.group_id) for label in LABELS]


@dataclass(slots=True)
class Written:
    """What this process has written to a file."""

    began: float = field(default_factory=time.monotonic)
    rows: int = 0
    photos: int = 0
    new_tokens: int = 0

    def add(self, records: Iterable[GroupRecord]) -> None:
        """Count records."""
        for each in records:
            self.rows += each.record.row is not None
            self.photos += each.record.photos
            self.new_tokens += sum(answer.new_tokens for answer in each.answers)


class RowsFile:
    """A file of rows, with its failures and its manifest.

    It is open, and locked, only while a batch is written: between batches whatever works on the
    files of a run works on these.

    file = RowsFile(Path("data/stage_b/挡风板安装检查.jsonl"), options)
    file.write([GroupRecord("挡风板安装检查", "QC-1", record)])
    """

    def __init__(self, path: Path, options: dict[str, object], guidance: str = "") -> None:
        """Name the file, the options that decide its rows from now on, and the written rules."""
        self.path, self.options, self.guidance = path, options, guidance
        self._written = Written()

    def write(self, records: Sequence[GroupRecord], state: str = "running") -> None:
        """Write records in the place of what is there of their groups, and the manifest.

        Raises: OutputBusyError while another process works on the file; RunError.
        """
        self._adopt_options()
        counts = RunCounts()

        def find_stale(done: RowIndex) -> set[str]:
            # Failures of the same key go by their session; those of another label stay otherwise.
            moved = {key for each in records for key in each.keys if key != each.record.key}
            if moved & read_sessions(failures_file(self.path), key_of).keys():
                rewrite(failures_file(self.path), lambda row: key_of(row) not in moved)
            return {key for each in records for key in each.keys if key in done}

        opened = open_output(
            self.path, self.options, counts, find_stale, ended=state, guidance=self.guidance
        )
        with opened as output:
            for each in records:
                if each.record.row is not None or each.record.failures:
                    output.write(each.record)
            self._written.add(records)
            output.counts = self._count(output)

    def _adopt_options(self) -> None:
        """Have the manifest hold the options of the rows to come, and tell what has changed."""
        if not self.path.exists() and not manifest_file(self.path).exists():
            return
        with OutputLock(self.path):
            manifest = Manifest(self.path, self.options, self.guidance)
            changed = manifest.changed_options()
            if not changed:
                return
            text = "; ".join(changed.values())
            log.warning("%s: new rows are made otherwise: %s", self.path.name, on_one_line(text))
            if manifest.path.exists():
                replace_options(manifest.path, self.options)
            else:
                manifest.write(RunCounts(), "running")

    def _count(self, output: Output) -> RunCounts:
        """Count the groups of the file, and what this process has written."""
        failed_keys = read_sessions(failures_file(self.path), key_of)
        written, groups = self._written, len(output.done)
        done = min(written.rows, groups)
        return RunCounts(
            already=groups - done,
            done=done,
            failed=sum(key not in output.done for key in failed_keys),
            undecided=output.done.unsettled,
            photos=written.photos,
            new_tokens=written.new_tokens,
            _began=written.began,
        )
