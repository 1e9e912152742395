"""Two halves of a large file of verdicts at once: the second one in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from shenhe.errors import RunError, ShenheError
from shenhe.rows.ledger import count_lines
from shenhe.runs.decide.passes import Pass
from shenhe.shards import list_shards

MIN_LINES: Final = 20_000
"""Number of lines below which a second process costs more time than it saves."""
_INTERRUPTED: Final = 130


def write_all(one_pass: Pass, path: Path, rows: IO[bytes], failures: IO[bytes]) -> None:
    """Write what a pass makes of all lines of a file, on two processors if there are.

    Raises: RunError if rows cannot be read, or the second process ended.
    """
    lines = sum(count_lines(shard, shard.stat().st_size) for shard in list_shards(path))
    # Elsewhere a process that is forked may not go on with what libraries hold.
    if sys.platform != "linux" or lines < MIN_LINES or len(os.sched_getaffinity(0)) < 2:
        one_pass.write(rows, failures)
        return
    with _second_half(one_pass, lines // 2, Path(rows.name).parent) as half:
        one_pass.write(rows, failures, stop=lines // 2)
        half.join(one_pass, rows, failures)


class _Half:
    """The second half of a file, and the process that writes it to files without a name.

    Nothing of it is left if either process is killed.
    """

    def __init__(self, one_pass: Pass, start: int, files: tuple[IO[bytes], IO[bytes]]) -> None:
        fork = multiprocessing.get_context("fork")
        self._files = files
        self._result, result = fork.Pipe(duplex=False)

        def work() -> None:
            # With a reading end of its own it would wait for ever once the first process is gone.
            self._result.close()
            try:
                one_pass.write(*files, start=start)
                for file in files:
                    file.flush()
                result.send((one_pass.changes, one_pass.finder.hashes))
            except (ShenheError, OSError) as error:
                with suppress(OSError):  # the first process may be gone
                    result.send(error)
            except KeyboardInterrupt:  # the first process tells of it
                os._exit(_INTERRUPTED)

        self.process = fork.Process(target=work, daemon=True)
        self.process.start()
        result.close()

    def join(self, one_pass: Pass, rows: IO[bytes], failures: IO[bytes]) -> None:
        """Wait for the half, and append it.

        Raises: RunError if its process ended, or what it raised.
        """
        try:
            result = self._result.recv()
        except EOFError as error:
            self.process.join()
            code = self.process.exitcode
            raise RunError(f"its second process was ended ({code}); decide again") from error
        if isinstance(result, Exception):
            raise result
        changes, hashes = result
        one_pass.changes.join(changes)
        one_pass.finder.hashes.extend(hashes)
        for source, target in zip(self._files, (rows, failures), strict=True):
            source.seek(0)
            shutil.copyfileobj(source, target, 1 << 20)


@contextmanager
def _second_half(one_pass: Pass, start: int, folder: Path) -> Iterator[_Half]:
    with ExitStack() as stack:
        rows, failures = (stack.enter_context(tempfile.TemporaryFile(dir=folder)) for _ in range(2))
        half = _Half(one_pass, start, (rows, failures))
        stack.callback(half.process.join)
        stack.callback(half.process.terminate)
        yield half
