"""The skeleton of a run: resume, drive, record, observe; and the plan of one, without a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic

from shenhe.engines.base import Engine, EngineOverDevices, ReusingEngine
from shenhe.engines.deferred import load_now
from shenhe.rows.counts import RunCounts
from shenhe.rows.keys import key_of
from shenhe.rows.manifest import Manifest
from shenhe.rows.row_index import RowIndex
from shenhe.runs.drive import MAX_ATTEMPTS, drive
from shenhe.runs.engine_options import with_budget
from shenhe.runs.observers import Observer, RunInfo
from shenhe.runs.observers.format_watch import FormatWatch
from shenhe.runs.observers.progress import RunProgress
from shenhe.runs.output import Output, open_output
from shenhe.runs.work import Backlog, CurrentKeys, FinishedJob, Item, Job, Value, Work


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How much a run does, how it is written and who observes it.

    Of these only `max_attempts` decides a row. `ordered` rows stand in the order of the items. A
    rows file that has reached `shard_bytes` goes on in the next shard; `parquet` converts the rows
    when the run has ended.

        >>> RunOptions(limit=100, ordered=True).max_attempts
        3
    """

    limit: int | None = None
    restart: bool = False
    max_attempts: int = MAX_ATTEMPTS
    ordered: bool = False
    observers: tuple[Observer, ...] = ()
    shard_bytes: int | None = None
    parquet: Callable[[Path], object] | None = None


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """Where rows go and how they are written.

    `engine_options` are the options of the engine that decide rows, as the manifest holds them.
    """

    rows_path: Path
    run: RunOptions
    engine_options: Mapping[str, object] = field(default_factory=dict)

    @property
    def resumed_path(self) -> Path:
        """The rows that a run goes on from: with `restart` a file that does not exist."""
        return self.rows_path.with_suffix(".none") if self.run.restart else self.rows_path


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a run would do: counts of groups, and of their photos or lines."""

    groups: int
    items: int
    already: int
    faults: tuple[str, ...] = ()
    """Inputs that would not be read, one line each."""


def plan(backlog: Backlog[Item], output: OutputSpec) -> RunPlan:
    """Count what `run` would do.

    Raises: RunError for rows that cannot be read; IntakeError for a backlog that cannot.
    """
    rows_path = output.resumed_path
    with closing(RowIndex(rows_path, key_of, temporary=True)) as done:
        current = CurrentKeys(done, backlog.find_stale(rows_path, done).keys)
        groups, items = backlog.count_pending(current, output.run.limit)
        return RunPlan(groups, items, len(current), tuple(backlog.faults))


def run(
    engine: Engine, work: Work[Item, Value], output: OutputSpec, watch: Sequence[Observer] = ()
) -> RunCounts:
    """Write the record of every item that has no row yet, or a stale one.

    Killed at any moment and started again, it ends with the same rows.
    Raises: RunError, EngineError; rows written so far stay valid.

        run(engine, work, OutputSpec(Path("rows.jsonl"), RunOptions()), [JsonLog(Path("run.log"))])
    """
    options = output.run
    with opened(engine, work, output, (RunProgress(), *watch)) as part:
        jobs, loaded = part.jobs(), load_now(engine)
        for job in drive(loaded, jobs, work.read, options.max_attempts, ordered=options.ordered):
            part.finish(job)
        part.end()
    return part.info.counts


@dataclass(frozen=True, slots=True)
class OpenRun(Generic[Item, Value]):
    """The output of a stage that is being written, and who observes it.

    Example:
        with opened(engine, work, output, [RunProgress()]) as part:
            for job in drive(engine, part.jobs(), work.read):
                part.finish(job)
            part.end()

    """

    work: Work[Item, Value]
    rows: Output
    info: RunInfo
    limit: int | None
    observers: tuple[Observer, ...]

    def jobs(self) -> Iterator[Job[Item]]:
        """Yield the jobs of pending items; records of those that need no model are written."""
        work, rows = self.work, self.rows
        for job in work.jobs(work.backlog.first_pending(rows.done, self.limit)):
            if isinstance(job, Job):
                yield job
            else:
                rows.write(job)

    def finish(self, job: FinishedJob[Item, Value]) -> None:
        """Write the record of a job."""
        self.rows.write(self.work.record(job), new_tokens=job.new_tokens)
        for observer in self.observers:
            observer.finished(self.info, job)

    def end(self) -> None:
        """Write the records of what never was an item, once all items are done."""
        if self.limit is None:
            for record in self.work.closing_records(self.rows.done):
                self.rows.write(record)


@contextmanager
def opened(
    engine: Engine,
    work: Work[Item, Value],
    output: OutputSpec,
    observers: Sequence[Observer],
) -> Iterator[OpenRun[Item, Value]]:
    """Open the output of a stage, whose options are checked before the engine is loaded.

    Raises: RunError, EngineError.
    """
    options = output.run
    counts = RunCounts(passed_over=work.backlog.passed_over, faults=work.backlog.faults)
    engine_options = with_budget(output.engine_options, engine)

    def prepare() -> None:
        load_now(engine)
        counts.begin()  # a speed does not count the loading

    with (
        _open(work, replace(output, engine_options=engine_options), counts, prepare) as rows,
        ExitStack() as stack,
    ):
        info = _describe(work, counts, options.limit)
        watching = (*observers, *_format_watch(work))
        for observer in watching:
            observer.began(info)
            stack.callback(observer.ended, info)
        rows.tell_of_engine(_facts_of(load_now(engine)))
        rows.expect(info.total)
        yield OpenRun(work, rows, info, options.limit, watching)


def _format_watch(work: Work[Item, Value]) -> Iterator[FormatWatch]:
    if work.answers is not None:
        yield FormatWatch(work.answers)


def _open(
    work: Work[Item, Value],
    output: OutputSpec,
    counts: RunCounts,
    prepare: Callable[[], None],
) -> AbstractContextManager[Output]:
    """Open the output of a stage without its stale rows, which are counted by reason.

    `prepare` is called when the options are known to be those of the output.
    """
    options = output.run

    def find_stale(done: RowIndex) -> set[str]:
        work.backlog.drop_obsolete_failures(output.rows_path)
        stale = work.backlog.find_stale(output.rows_path, done)
        counts.note_stale(redone=stale.redone, kept=stale.kept)
        return stale.keys

    return open_output(
        output.rows_path,
        _decisive(work, output),
        counts,
        find_stale,
        restart=options.restart,
        shard_bytes=options.shard_bytes,
        convert=options.parquet,
        prepare=prepare,
        guidance=work.guidance,
    )


def check(work: Work[Item, Value], output: OutputSpec) -> None:
    """Refuse an output that was begun with other options, before anything is done.

        check(work, OutputSpec(Path("rows.jsonl"), RunOptions()))

    Raises: OptionsChangedError; RunError for a manifest that cannot be read.
    """
    manifest = Manifest(output.rows_path, _decisive(work, output))
    if not output.run.restart and manifest.path.exists():
        manifest.check()


def _decisive(work: Work[Item, Value], output: OutputSpec) -> dict[str, object]:
    """List the options that decide the rows of a stage."""
    options = {**output.engine_options, **work.decisive_options()}
    return options | {"max_attempts": output.run.max_attempts}


def _describe(work: Work[Item, Value], counts: RunCounts, limit: int | None) -> RunInfo:
    total = work.backlog.total
    goal = total if limit is None else min(total, counts.already + limit)
    return RunInfo(work.title, counts, total, goal, work.rate_unit, work.item_unit)


def _facts_of(engine: Engine) -> Callable[[], dict[str, object]]:
    """What a manifest holds of an engine; deaths of workers and what is reused count from now."""
    if isinstance(engine, EngineOverDevices):
        died, over = engine.workers_died, engine
        return lambda: {"devices": list(over.devices), "workers_died": over.workers_died - died}
    if isinstance(engine, ReusingEngine):
        before, reusing = engine.reuse, engine
        return lambda: {"reuse": reusing.reuse.since(before)._asdict()}
    return dict
