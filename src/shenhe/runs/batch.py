"""Stages through a batch service: the requests of a work in files, and rows from its answers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from shenhe.engines.base import Engine
from shenhe.engines.recorded import asked_of, request_row
from shenhe.engines.server.codec import Codec, EncodedRequest
from shenhe.errors import ItemError, OptionError, RunError, spelled
from shenhe.files import whole_file
from shenhe.intake.prefetch import prefetch
from shenhe.messages import Request
from shenhe.rows.counts import RunCounts
from shenhe.runs.run import OutputSpec, RunOptions, run
from shenhe.runs.work import Item, Job, Record, Value, Work
from shenhe.shards import list_shards, shard_path

MAX_ROWS: Final = 50_000
"""Requests of a file: what OpenAI's service takes."""
StageName = Literal["summarize", "judge", "caption"]


class BatchSettings(BaseModel):
    """All that decides requests, beside them on disk: answers are read by the same settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: StageName
    source: str
    mission: str | None
    model: str
    processor: str | None
    dialect: str
    max_new_tokens: int
    max_pixels: int | None
    constrain: bool
    votes: int
    coordinates: Literal["norm1000", "norm100", "pixel"]
    prompts: str | None
    missions: str | None
    formats: str
    examples: str | None
    guidance: str | None

    @property
    def engine_options(self) -> dict[str, object]:
        """The options that decide rows, as the manifest of an output holds them."""
        names = {"model", "processor", "dialect", "max_pixels", "constrain"}
        return {"engine": "batch", **self.model_dump(include=names)}


@dataclass(slots=True)
class WrittenRequests:
    """The files that hold requests, their number, and what could not be asked."""

    files: list[Path] = field(default_factory=list)
    requests: int = 0
    faults: list[str] = field(default_factory=list)


def settings_path(requests: Path) -> Path:
    """Return where the settings of requests stand.

    >>> settings_path(Path("requests.jsonl")).name
    'requests.manifest.json'
    """
    return requests.with_suffix(".manifest.json")


def index_path(requests: Path) -> Path:
    """Return where is noted what was asked."""
    return requests.with_suffix(".index")


def read_settings(requests: Path) -> BatchSettings:
    """Read the settings of requests.

    Raises: RunError if they cannot be read.
    """
    path = settings_path(requests)
    try:
        return BatchSettings.model_validate_json(path.read_bytes())
    except OSError as error:
        problem = f"{path}: cannot be read: {error.strerror}; `shenhe requests` writes it"
        raise RunError(problem) from error
    except ValidationError as error:
        raise RunError(f"{path}: no settings of requests: write them anew") from error


def write_requests(
    jobs: Iterable[Job[object] | Record],
    codec: Codec,
    output: Path,
    settings: BatchSettings,
    *,
    shard_bytes: int | None = None,
    limit: int | None = None,
    overwrite: bool = False,
) -> WrittenRequests:
    """Write the requests of jobs, in files of up to 50,000.

    A photo that cannot be read is told in the faults; its request is left out.
    Raises: OptionError if the output exists; RunError if it cannot be written, or a single request
    is larger than a file may be.
    """
    existing = list_shards(output)
    if existing and not overwrite:
        problem = f"exists; use another, or {spelled('overwrite', True)}"
        raise OptionError("output", output, problem)
    for path in (*existing, index_path(output), settings_path(output)):
        path.unlink(missing_ok=True)
    written = WrittenRequests()
    with whole_file(index_path(output)) as index, index.open("w", encoding="utf-8") as notes:
        requests = islice(_requests(jobs, written), limit)
        shards = _Shards(output, shard_bytes, written)
        threads = os.cpu_count() or 1
        try:
            for result in prefetch(lambda request: _encode(codec, request), requests, threads):
                if isinstance(result, EncodedRequest):
                    shards.write(request_row(result, settings.model) + b"\n")
                    notes.write(asked_of(result, settings.model).model_dump_json() + "\n")
                    written.requests += 1
                else:
                    written.faults.append(result)
        finally:
            shards.close()
    with whole_file(settings_path(output)) as path:
        path.write_text(settings.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return written


def run_recorded(
    engine: Engine, work: Work[Item, Value], rows_path: Path, engine_options: Mapping[str, object]
) -> RunCounts:
    """Write the row of every item whose requests are all answered; the others fail until they are.

    Raises: RunError; rows written so far stay valid.
    """
    output = OutputSpec(rows_path, RunOptions(max_attempts=1), engine_options)
    return run(engine, work, output)


def jobs_of(work: Work[Item, Value]) -> Iterator[Job[Item] | Record]:
    """Yield a job for every item of a work, and the record of one that needs no model."""
    return work.jobs(work.backlog.pending(frozenset()))


def _requests(jobs: Iterable[Job[object] | Record], written: WrittenRequests) -> Iterator[Request]:
    """Yield the requests of jobs; what needs no model is told."""
    for job in jobs:
        if isinstance(job, Job):
            yield from job.requests
        else:
            written.faults += [f"{failure.item}: {failure.message}" for failure in job.failures]


def _encode(codec: Codec, request: Request) -> EncodedRequest | str:
    try:
        return codec.encode(request)
    except ItemError as error:
        return str(error)


class _Shards:
    """Files that are begun anew when one more row would make them too large."""

    def __init__(self, output: Path, max_bytes: int | None, written: WrittenRequests) -> None:
        self._output, self._max_bytes, self._written = output, max_bytes, written
        self._file: IO[bytes] | None = None
        self._rows = self._size = 0

    def write(self, row: bytes) -> None:
        """Append a row.

        Raises: RunError for a row larger than a file may be; OSError.
        """
        if self._max_bytes is not None and len(row) > self._max_bytes:
            problem = f"a request takes {len(row):,} bytes: raise {spelled('shard_size')}"
            raise RunError(f"{problem}, or lower {spelled('max_pixels')}")
        is_full = self._max_bytes is not None and self._size + len(row) > self._max_bytes
        if self._file is None or is_full or self._rows == MAX_ROWS:
            self._begin()
        assert self._file is not None
        self._file.write(row)
        self._rows, self._size = self._rows + 1, self._size + len(row)

    def close(self) -> None:
        """Close the last file."""
        if self._file is not None:
            self._file.close()

    def _begin(self) -> None:
        self.close()
        path = shard_path(self._output, len(self._written.files) + 1)
        self._file, self._rows, self._size = path.open("wb"), 0, 0
        self._written.files.append(path)
