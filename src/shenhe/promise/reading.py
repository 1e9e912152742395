"""The samples of a run: the groups of each mission, with what people say of them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from shenhe.config.missions import normalize_name
from shenhe.errors import RunError
from shenhe.promise.clusters import read_stage_a
from shenhe.promise.sample import Sample, View
from shenhe.row_types import VerdictRow
from shenhe.rows.decision_rows import DEFERRED
from shenhe.rows.decisions import Decisions
from shenhe.rows.manifest import SUFFIX, manifest_file
from shenhe.rows.outcomes import (
    LABELS,
    Outcome,
    has_decisions,
    read_corrected_labels,
    read_run_verdicts,
    verdicts_folder,
)
from shenhe.rows.promises import Truth
from shenhe.rows.status import status_of
from shenhe.shards import list_rows_files

_View = Callable[[VerdictRow], View | None]


@dataclass(slots=True)
class Reading:
    """The samples of a run by mission; `values` are those of a field of the failed groups' rows.

    `fields` are the names of all fields that rows of another tool have, each with the values that
    it has in the failed groups.
    """

    samples: dict[str, Sample] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    fields: dict[str, set[str]] = field(default_factory=dict)

    @property
    def failed_keys(self) -> set[str]:
        """The keys of the failed groups that promises rest on."""
        return {key for sample in self.samples.values() for key in sample.failed}

    @property
    def ties(self) -> dict[str, int]:
        """The fields that failed groups have in common, with the number of their values."""
        failed = len(self.failed_keys)
        return {
            name: len(values) for name, values in self.fields.items() if 1 < len(values) < failed
        }

    def add_fields(self, row: VerdictRow, cluster: str) -> None:
        """Remember the fields that another tool gave the row of a failed group."""
        for name, value in row.extra.items():
            if value not in (None, ""):
                self.fields.setdefault(name, set()).add(str(value))
        if row.extra.get(cluster) not in (None, ""):
            self.values[row.key] = str(row.extra[cluster])


def read_samples(
    run_dir: Path, truth: Truth = "labels", in_training: Collection[str] = (), cluster: str = ""
) -> Reading:
    """Read the verdicts of a run; groups whose keys are `in_training` are counted and left out.

    Raises: RunError if it has none, or a row is of another form; if nobody has decided anything.
    """
    view_of, reading = _views(run_dir, truth), Reading()
    by_name: dict[str, Sample] = {}
    for row in read_run_verdicts(run_dir):
        sample = by_name.get(row.mission)
        if sample is None:  # full-width and half-width brackets are equal
            name = normalize_name(row.mission)
            sample = by_name[row.mission] = by_name.setdefault(name, Sample(row.mission))
            reading.samples[sample.name] = sample
        if row.key in in_training:
            sample.in_training += 1
            continue
        outcome, view = Outcome.of(row), view_of(row)
        sample.add(row, outcome, view)
        sample.corrected += truth == "labels" and (row.label, view) == ("fail", "pass")
        if row.extra and outcome.key in sample.failed:
            reading.add_fields(row, cluster)
    for lines in read_stage_a(run_dir):
        sample = by_name.get(lines.mission) or by_name.get(normalize_name(lines.mission))
        if sample is not None:
            sample.add_lines(lines)
    return reading


def _views(run_dir: Path, truth: Truth) -> _View:
    if truth == "audit":  # what people say of audited groups is counted by its probability
        return lambda row: None
    if truth == "labels":
        corrected = read_corrected_labels(run_dir)
        return lambda row: corrected.get(row.key, row.label)
    if not has_decisions(run_dir):
        raise RunError(f"{run_dir}: nobody has decided anything; `shenhe review` is where to")
    views: dict[str, View] = {}
    for decision in Decisions(run_dir).all_current():
        choice = decision.opinion.choice if decision.opinion else DEFERRED
        views[decision.key] = "deferred" if choice == DEFERRED else LABELS[choice]
    return lambda row: views.get(row.key, "unseen")


def find_unended(run_dir: Path) -> list[str]:
    """Name the outputs of a run that are under way, or were interrupted.

    Raises: RunError if a manifest cannot be read.
    """
    manifests = [manifest_file(path) for path in list_rows_files(verdicts_folder(run_dir))]
    return [
        path.name.removesuffix(SUFFIX)
        for path in manifests
        if path.exists() and status_of(path).state != "ended"
    ]
