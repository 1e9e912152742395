"""One output: its rows, its failures and its manifest, opened together under one lock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shenhe.errors import RunError
from shenhe.records import CaptionFailure, Failure, Label, Row, group_key, photos_key
from shenhe.runs.ledger import (
    Json,
    Ledger,
    OutputLock,
    drop_torn_end,
    rewrite,
    set_aside,
)
from shenhe.runs.manifest import Manifest
from shenhe.runs.outcome import RunCounts, RunOptions
from shenhe.runs.row_index import RowIndex, index_file
from shenhe.shards import shards

TELL_SECONDS = 5.0
"""So often a run writes down how far it is."""


def rows_file(folder: Path, mission: str) -> Path:
    """Name the rows file of a mission; a slash in its name cannot stand in a file's."""
    return folder / f"{mission.replace('/', '_')}.jsonl"


def failures_file(rows_path: Path) -> Path:
    """Name the failures file beside a rows file."""
    return rows_path.with_suffix(".failures.jsonl")


def key_of(row: Json) -> str:
    """Give the key of the group, or of the captioned photos, that a row or a failure is about.

    Raises: RunError for a row that is about neither.
    """
    try:
        if "group_id" not in row:
            return photos_key(row["images"])
        label: Label | None = row["label"]
        return group_key(str(row["mission"]), label, str(row["group_id"]))
    except (KeyError, TypeError) as error:
        raise RunError(f"a row lacks {error}: not written by shenhe") from error


def rows_so_far(rows_path: Path, run: RunOptions) -> RowIndex:
    """Look at the rows that a run would go on from, without touching anything; close it."""
    if run.restart:
        rows_path = rows_path.with_suffix(".none")
    return RowIndex(rows_path, key_of, temporary=True)


@dataclass(slots=True)
class Output:
    """An open output. `done` knows the key of every group with a row."""

    counts: RunCounts
    done: RowIndex
    failed: set[str]
    _rows: Ledger
    _failures: Ledger
    _manifest: Manifest
    total: int | None = None
    """What the output will hold when all is done."""
    _told: float = field(default_factory=time.monotonic)

    def expect(self, total: int) -> None:
        """Say what the output will hold when all is done."""
        self.total = total
        self.tell("running")

    def tell(self, state: str) -> None:
        """Write the manifest as things are."""
        self._manifest.write(self.counts, state, self.total)
        self._told = time.monotonic()

    def add(
        self, row: Row, key: str, *, settled: bool = True, inputs_hash: str | None = None
    ) -> None:
        """Append the row of a group, and what it rests on."""
        self._rows.append(row)
        self.done.add(key, settled=settled, inputs_hash=inputs_hash, end=self._rows.end)
        self.counts.done += 1
        self.counts.undecided += not settled
        if time.monotonic() - self._told >= TELL_SECONDS:
            self.tell("running")

    def add_failures(self, key: str, failures: Sequence[Failure | CaptionFailure]) -> None:
        """Append what went wrong with a group."""
        self._failures.append(*failures)
        self.failed.add(key)

    def close(self) -> None:
        """Close both files."""
        self._rows.close()
        self._failures.close()
        self.done.close()


@contextmanager
def open_output(
    rows_path: Path,
    options: dict[str, Any],
    run: RunOptions,
    counts: RunCounts,
    stale: Callable[[RowIndex], set[str]] = lambda done: set(),
) -> Iterator[Output]:
    """Open an output to go on with it: check its options, drop a torn end and stale rows.

    However the work ends, the manifest is written and failures that were mended are dropped.
    Raises: OutputBusyError, OptionsChangedError, RunError.
    """
    failures_path = failures_file(rows_path)
    with OutputLock(rows_path):
        manifest = Manifest(rows_path, options)
        if run.restart:
            rows = shards(rows_path)
            set_aside(*rows, *(path.with_suffix(".parquet") for path in rows))
            set_aside(failures_path, manifest.path)
            index_file(rows_path).unlink(missing_ok=True)
        manifest.check()
        drop_torn_end(rows_path)
        drop_torn_end(failures_path)
        done = RowIndex(rows_path, key_of)
        if old := stale(done):
            rewrite(rows_path, lambda row: key_of(row) not in old)
            done.remove(old)
        counts.undecided, counts.already = done.unsettled, len(done)
        output = Output(
            counts, done, set(), Ledger(rows_path, run.shard_bytes), Ledger(failures_path), manifest
        )
        output.tell("running")
        state = "interrupted"
        try:
            yield output
            state = "ended"
        finally:
            output.tell(state)
            rewrite(failures_path, lambda row: _still_true(row, output, manifest.started))
            output.close()
        if run.parquet is not None:
            run.parquet(rows_path)


def _still_true(failure: Json, output: Output, session_start: str) -> bool:
    """Whether a failure is the last word on its group: not mended, not told anew since."""
    key = key_of(failure)
    told_anew = key in output.failed and str(failure["timestamp"]) < session_start
    return not output.done.settled(key) and not told_anew
