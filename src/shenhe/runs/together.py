"""Several missions over one photo tree at once: groups of the same id are asked about together.

Each mission has its own output, as alone. Their photos are often the same: an engine that keeps
what it computed of a photo then finds it, where hours would lie between the missions otherwise.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Final

from shenhe.config import Mission
from shenhe.engines.base import Engine
from shenhe.engines.deferred import load_now
from shenhe.errors import IntakeError
from shenhe.intake import PhotoTree
from shenhe.intake.ordering import natural_key
from shenhe.messages import Answer
from shenhe.rows.counts import RunCounts
from shenhe.runs.drive import drive
from shenhe.runs.observers import Observer
from shenhe.runs.observers.progress import RunProgress
from shenhe.runs.run import OpenRun, OutputSpec, RunOptions, opened
from shenhe.runs.stage_a import SummaryWork
from shenhe.runs.work import FinishedJob, Job
from shenhe.values import Group

LABELS: Final = ("pass", "fail", None)
"""The order of a photo tree."""


def missions_with_common_groups(
    tree: PhotoTree, missions: Sequence[Mission]
) -> list[list[Mission]]:
    """Put missions together that have groups of the same id, in their order otherwise."""
    parts: list[tuple[list[Mission], set[str]]] = []
    for mission in missions:
        ids: set[str] = set()
        with suppress(IntakeError):  # its run tells of it
            ids.update(group.group_id for group in tree.group_ids(mission))
        common = [part for part in parts if not ids.isdisjoint(part[1])]
        joined = [entry for part in common for entry in part[0]]
        parts = [part for part in parts if part not in common]
        parts.append(([*joined, mission], ids.union(*(part[1] for part in common))))
    order = {mission.name: number for number, mission in enumerate(missions)}
    together = [sorted(part, key=lambda mission: order[mission.name]) for part, _ in parts]
    return sorted(together, key=lambda part: order[part[0].name])


@dataclass(slots=True)
class _Part:
    """A mission that is being worked; `error` ended it, and it alone."""

    run: OpenRun[Group, str]
    stack: ExitStack
    error: IntakeError | None = None

    def jobs(self) -> Iterator[Job[_PlacedGroup]]:
        """Yield its jobs until its folder goes away."""
        try:
            for job in self.run.jobs():
                yield Job(_PlacedGroup(job.item, self), job.requests)
        except IntakeError as error:
            self.error = error

    def close(self) -> RunCounts | IntakeError:
        """Write what is left, and close the output."""
        try:
            with self.stack:
                if self.error is not None:
                    raise self.error
                self.run.end()
        except IntakeError as error:
            return error
        return self.run.info.counts


@dataclass(frozen=True, slots=True)
class _PlacedGroup:
    """A group, and the mission that it is of."""

    group: Group
    part: _Part = field(repr=False)

    @property
    def place(self) -> tuple[object, ...]:
        """The place of a group in the order of a photo tree, whatever its mission."""
        return LABELS.index(self.group.label), natural_key(self.group.group_id)


def run_summaries_together(
    engine: Engine, outputs: Sequence[tuple[SummaryWork, OutputSpec]]
) -> list[RunCounts | IntakeError]:
    """Do what `run_summaries` does for missions with the same options, in the order of all groups.

    A mission whose folder cannot be read, or goes away, ends alone, with its error.
    Raises: RunError, EngineError; rows written so far stay valid.
    """
    run = outputs[0][1].run
    observers = (RunProgress(), *run.observers)
    results: list[RunCounts | IntakeError | _Part] = []
    with ExitStack() as all_outputs:
        for work, output in outputs:
            try:
                results.append(_open_part(engine, work, output, observers, all_outputs))
            except IntakeError as error:
                results.append(error)
        parts = [part for part in results if isinstance(part, _Part)]
        if parts:
            _drive(load_now(engine), parts, run)
        return [part.close() if isinstance(part, _Part) else part for part in results]


def _open_part(
    engine: Engine,
    work: SummaryWork,
    output: OutputSpec,
    observers: Sequence[Observer],
    all_outputs: ExitStack,
) -> _Part:
    stack = ExitStack()
    part = _Part(stack.enter_context(opened(engine, work, output, observers)), stack)
    all_outputs.push(stack)
    return part


def _drive(engine: Engine, parts: Sequence[_Part], run: RunOptions) -> None:
    work = parts[0].run.work

    def read(answer: Answer) -> str:
        return work.read(answer)  # all missions have one format

    jobs = heapq.merge(*(part.jobs() for part in parts), key=lambda job: job.item.place)
    for job in drive(engine, jobs, read, run.max_attempts, ordered=run.ordered):
        placed = job.item
        placed.part.run.finish(FinishedJob(placed.group, job.outcomes, job.began_ns))
