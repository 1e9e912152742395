"""One output: its rows, its failures and its manifest, opened together under one lock."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from shenhe.errors import DamagedRowError
from shenhe.row_types import CaptionFailure, Failure, Row
from shenhe.rows.counts import RunCounts
from shenhe.rows.failures import Failures, read_sessions
from shenhe.rows.keys import failures_file, key_of
from shenhe.rows.ledger import (
    Ledger,
    OutputLock,
    read_lines,
    rewrite,
    set_aside,
    set_lines_aside,
)
from shenhe.rows.manifest import Manifest
from shenhe.rows.row_index import RowIndex, drop_index
from shenhe.rows.torn import drop_torn_end
from shenhe.runs.options import RunOptions
from shenhe.shards import list_shards

Opened = TypeVar("Opened")
TELL_SECONDS = 5.0
"""So often a run writes down how far it is."""


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
    _rows: Ledger
    _failures: Failures
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
        self._failures.add(key, failures)

    def close(self, state: str) -> None:
        """Write how it ended, drop the failures that were mended, and close all files.

        Raises: RunError if the disk refuses it; the files are closed even so.
        """
        with ExitStack() as closing:
            closing.callback(self.done.close)
            closing.callback(self._failures.close)
            closing.callback(self._rows.close)
            self._rows.sync()
            self._failures.tidy(self.done)
            self.tell(state)


@contextmanager
def open_output(
    rows_path: Path,
    options: dict[str, Any],
    run: RunOptions,
    counts: RunCounts,
    stale: Callable[[RowIndex], set[str]] = lambda done: set(),
) -> Iterator[Output]:
    """Open an output to go on with it: check its options, drop a torn end and stale rows.

    However the work ends, the manifest is written and failures that were mended are dropped. What
    a power cut left as zeros is set aside and done anew; undecided rows get a failure each.
    Raises: OutputBusyError, OptionsChangedError, DamagedRowError, RunError.
    """
    failures_path = failures_file(rows_path)
    with OutputLock(rows_path):
        manifest = Manifest(rows_path, options)
        if run.restart:
            rows = list_shards(rows_path)
            set_aside(*rows, *(path.with_suffix(".parquet") for path in rows))
            set_aside(failures_path, manifest.path)
            drop_index(rows_path)
        drop_torn_end(rows_path)
        drop_torn_end(failures_path)
        with ExitStack() as opened:
            done = _without_zeros(lambda: RowIndex(rows_path, key_of))
            opened.callback(done.close)
            _without_zeros(lambda: read_sessions(failures_path, key_of))
            manifest.check()
            if old := stale(done):
                rewrite(rows_path, lambda row: key_of(row) not in old)
                done.remove(old)
            counts.undecided, counts.already = done.unsettled, len(done)
            ledger = Ledger(rows_path, run.shard_bytes)
            opened.callback(ledger.close)
            failures = Failures(failures_path, key_of, manifest.session)
            opened.callback(failures.close)
            failures.complete(rows_path, done)
            output = Output(counts, done, ledger, failures, manifest)
            output.tell("running")
            opened.pop_all()
        state = "interrupted"
        try:
            yield output
            state = "ended"
        finally:
            output.close(state)
        if run.parquet is not None:
            run.parquet(rows_path)


def _without_zeros(read: Callable[[], Opened]) -> Opened:
    """Open what reads rows; lines that a power cut left as zeros are moved out of its way."""
    while True:
        try:
            return read()
        except DamagedRowError as error:
            if not error.zeroed:
                raise
            lines = [number for number, line in read_lines(error.path) if b"\0" in line]
            aside = set_lines_aside(error.path, lines)
            warnings.warn(
                f"{error.path}: {len(lines)} lines hold zero bytes, as a power cut leaves them;"
                f" they are in {aside.name}, their groups are done anew",
                stacklevel=1,
            )
