"""One output: its rows, its failures and its manifest, opened together under one lock."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from shenhe.errors import DamagedRowError
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
from shenhe.runs.work import Record
from shenhe.shards import list_shards

MANIFEST_SECONDS = 5.0
"""Minimum time between two manifests of a running output."""
Result = TypeVar("Result")


@dataclass(slots=True)
class Output:
    """An open output. `done` knows the key of every item with a row."""

    counts: RunCounts
    done: RowIndex
    _rows: Ledger
    _failures: Failures
    _manifest: Manifest
    total: int | None = None
    """Number of items of the output, once it is known."""
    _manifest_time: float = field(default_factory=time.monotonic)

    def expect(self, total: int) -> None:
        """Note how many items the output has in all."""
        self.total = total
        self.write_manifest("running")

    def tell_of_engine(self, facts: Callable[[], Mapping[str, object]]) -> None:
        """Have the manifest hold what an engine tells of this session, as it is then."""
        self._manifest.of_engine = facts

    def write(self, record: Record, *, new_tokens: int = 0) -> None:
        """Append the failures and the row of an item, and count it.

        Failures come first: after a kill between the two the item has no row, and is done again.
        """
        if record.failures:
            self._failures.add(record.key, record.failures)
        if record.row is not None:
            self._rows.append(record.row)
            self.done.add(
                record.key,
                settled=record.settled,
                inputs_hash=record.inputs_hash,
                end=self._rows.end,
            )
        self.counts.add_item(
            has_row=record.row is not None,
            settled=record.settled,
            photos=record.photos,
            new_tokens=new_tokens,
            sizes=record.sizes,
            repairs=record.repairs,
        )
        if time.monotonic() - self._manifest_time >= MANIFEST_SECONDS:
            self.write_manifest("running")

    def write_manifest(self, state: str) -> None:
        """Write the manifest with the current counts."""
        self._manifest.write(self.counts, state, self.total)
        self._manifest_time = time.monotonic()

    def close(self, state: str) -> None:
        """Write the final manifest, drop the failures that no longer hold, and close all files.

        Raises: RunError if the disk refuses it; the files are closed even so.
        """
        with ExitStack() as closing:
            closing.callback(self.done.close)
            closing.callback(self._failures.close)
            closing.callback(self._rows.close)
            self._rows.sync()
            self._failures.tidy(self.done)
            self.write_manifest(state)


@contextmanager
def open_output(
    rows_path: Path,
    decisive: dict[str, object],
    counts: RunCounts,
    find_stale: Callable[[RowIndex], set[str]],
    *,
    restart: bool = False,
    shard_bytes: int | None = None,
    convert: Callable[[Path], object] | None = None,
    prepare: Callable[[], object] | None = None,
    ended: str = "ended",
    guidance: str = "",
) -> Iterator[Output]:
    """Open an output to go on with it: check its options, drop a torn end and stale rows.

    The manifest is written, with the state `ended`, and failures are tidied also after an error.
    Lines that a power cut left as zeros are set aside and their items done again; undecided rows
    get a failure each. `convert` is called with the rows once they are complete, `prepare` before
    anything is changed.
    Raises: OutputBusyError, OptionsChangedError, DamagedRowError, RunError.
    """
    with OutputLock(rows_path):
        manifest = Manifest(rows_path, decisive, guidance)
        if not restart and manifest.path.exists():
            manifest.check()
        if prepare is not None:
            prepare()
        if restart:
            _set_output_aside(rows_path, manifest)
        drop_torn_end(rows_path)
        drop_torn_end(failures_file(rows_path))
        output = _resume(rows_path, manifest, counts, find_stale, shard_bytes)
        state = "interrupted"
        try:
            yield output
            state = ended
        finally:
            output.close(state)
        if convert is not None:
            convert(rows_path)


def _set_output_aside(rows_path: Path, manifest: Manifest) -> None:
    """Move all files of an output away, to begin anew."""
    rows = list_shards(rows_path)
    set_aside(*rows, *(path.with_suffix(".parquet") for path in rows))
    set_aside(failures_file(rows_path), manifest.path)
    drop_index(rows_path)


def _resume(
    rows_path: Path,
    manifest: Manifest,
    counts: RunCounts,
    find_stale: Callable[[RowIndex], set[str]],
    shard_bytes: int | None,
) -> Output:
    """Open the files of an output behind the rows that still hold."""
    failures_path = failures_file(rows_path)
    with ExitStack() as opened:
        done = _without_zeros(lambda: RowIndex(rows_path, key_of))
        opened.callback(done.close)
        _without_zeros(lambda: read_sessions(failures_path, key_of))
        manifest.check()
        if stale := find_stale(done):
            rewrite(rows_path, lambda row: key_of(row) not in stale)
            done.remove(stale)
        counts.resume(done=len(done), undecided=done.unsettled)
        rows = Ledger(rows_path, shard_bytes)
        opened.callback(rows.close)
        failures = Failures(failures_path, key_of, manifest.session)
        opened.callback(failures.close)
        failures.complete(rows_path, done)
        output = Output(counts, done, rows, failures, manifest)
        output.write_manifest("running")
        opened.pop_all()
    return output


def _without_zeros(read: Callable[[], Result]) -> Result:
    """Call what reads rows; lines that a power cut left as zeros are set aside for it."""
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
