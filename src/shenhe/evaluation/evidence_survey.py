"""Reading of a run for its evidence: rows one at a time, eight bytes of memory a group."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from shenhe.config import Mission, Missions
from shenhe.config.spelling import flatten, spell_category
from shenhe.errors import RowError, RunError, spelled
from shenhe.evaluation.evidence import (
    HELD,
    EvidenceGroup,
    EvidenceSurvey,
    EvidenceTally,
    Kind,
    kind_of,
)
from shenhe.evaluation.fail_reasons import REVIEW_FIELD, FailReasons
from shenhe.row_types import Failure, GroupRow, SummaryRow
from shenhe.rows.decisions import Decisions
from shenhe.rows.duplicates import DuplicateFinder, DuplicateRows
from shenhe.rows.keys import failures_file
from shenhe.rows.outcomes import (
    Outcome,
    Truth,
    read_corrected_labels,
    read_decided_labels,
)
from shenhe.rows.readers import read_each, read_failures, read_summaries, read_verdicts
from shenhe.rows.verdict_inputs import describe_gap
from shenhe.shards import list_rows_files
from shenhe.stages import evidence
from shenhe.values import PASS, EvidenceItem, Label

REMEMBERED_ITEMS = 8192
"""Number of items of lines that are remembered in their one spelling."""
_COUNT = re.compile(r"×+\d+$")
_TELLING = ("无法识别", "备注", "复核")
"""Words of a label that say more than its text."""
Record = Callable[[EvidenceGroup], object]


def survey_evidence(
    run_dir: Path,
    missions: Missions,
    truth: Truth = "labels",
    reason_field: str | None = None,
    record: Record | None = None,
) -> EvidenceSurvey:
    """Sort the labelled groups of a run by what their lines say, by the rules of their missions.

    `record` takes the groups that people failed, and those whose 通过 the rules hold back.
    Raises: RunError if there are no Stage-A rows, no labelled group or no rules, or a row is of
    another form; OptionError if no failed group has the field of reasons.

    Example:
        survey = survey_evidence(Path("out"), load_missions())
        survey.total.lowest_false_pass.interval()

    """
    people = _read_people(run_dir, truth, with_reasons=reason_field is None)
    survey = _Survey(missions, people, _read_passes(run_dir), FailReasons(reason_field), record)
    folder = run_dir / "stage_a"
    paths = list_rows_files(folder if folder.is_dir() else run_dir)
    if not paths:
        raise RunError(f"{folder}: no rows there; run `shenhe summarize` or `shenhe run` first")
    for path in paths:
        survey.count(path)
    if not survey.tallies and survey.without_rules:
        names = ", ".join(survey.without_rules)
        raise RunError(
            f"{run_dir}: no evidence rules for {names}; write [mission.evidence] into a file of"
            f" missions, and name it by {spelled('missions')}"
        )
    if not survey.tallies:
        raise RunError(f"{run_dir}: people have labelled none of the groups there")
    survey.reasons.check()
    survey.close()
    return EvidenceSurvey(
        survey.tallies, survey.without_rules, survey.passes is not None, survey.reasons
    )


@dataclass(frozen=True, slots=True)
class _People:
    """What people say of groups: decisions, or labels of the photo tree and corrections of them."""

    labels: Mapping[str, Label]
    truth: Truth
    reasons: Mapping[str, Mapping[str, object]]

    def label_of(self, row: GroupRow) -> Label | None:
        if self.truth == "decisions":
            return self.labels.get(row.key)
        return self.labels.get(row.key, row.label) if self.labels else row.label


class _Passes:
    """The groups that the model passed, whatever held them back."""

    def __init__(self, outcomes: Iterable[Outcome]) -> None:
        hashes = array("q", (hash(o.key) for o in outcomes if o.ruling == PASS))
        self._hashes = np.unique(np.frombuffer(hashes, dtype=np.int64))

    def __contains__(self, key: str) -> bool:
        at = int(np.searchsorted(self._hashes, hash(key)))
        return at < len(self._hashes) and int(self._hashes[at]) == hash(key)


class _Survey:
    """The counts, while files are read."""

    def __init__(
        self,
        missions: Missions,
        people: _People,
        passes: _Passes | None,
        reasons: FailReasons,
        record: Record | None,
    ) -> None:
        self.tallies: dict[str, EvidenceTally] = {}
        self.without_rules: Counter[str] = Counter()
        self.passes, self.reasons = passes, reasons
        self._missions, self._people, self._record = missions, people, record
        self._by_name: dict[str, Mission | None] = {}
        self._complete: dict[tuple[str, Label], array[int]] = {}
        """Hashes of what the complete lines of groups show, by mission and label."""

    def close(self) -> None:
        """Count the failed groups that show what passed ones do."""
        for name, tally in self.tallies.items():
            failed, passed = (self._complete.get((name, label)) for label in ("fail", "pass"))
            if failed and passed:
                tally.like_passed = int(np.isin(failed, passed).sum())

    def count(self, path: Path) -> None:
        """Count the groups of a file; one with several rows once, and unread if they differ."""
        repeats = _find_repeats(path)
        without_lines = _read_unfinished(path)
        counted: set[str] = set()
        for row in read_summaries(path):
            without_lines.pop(row.key, None)
            if row.key in repeats:
                if row.key in counted:
                    continue
                counted.add(row.key)
            differ = row.key in repeats and repeats[row.key].differ
            self._count(row, None if differ or _is_unread(row) else row.per_image, row.extra)
        for failure in without_lines.values():
            self._count(failure, None, {})

    def _count(
        self, row: GroupRow, lines: Mapping[str, str] | None, extra: Mapping[str, object]
    ) -> None:
        label, mission = self._people.label_of(row), self._find_mission(row.mission)
        if label is None:
            return
        if mission is None or mission.evidence is None:
            self.without_rules[row.mission] += 1
            return
        items = () if lines is None else evidence.check(lines, mission.evidence)
        kind: Kind = "unread" if lines is None else kind_of(items)
        ruled_pass = self.passes is not None and row.key in self.passes
        self.tallies.setdefault(mission.name, EvidenceTally()).add(
            label, kind, ruled_pass=ruled_pass
        )
        if lines is not None and kind == "complete":
            hashes = self._complete.setdefault((mission.name, label), array("q"))
            hashes.append(hash(findings(lines.values())))
        reason = ""
        if label == "fail" and kind != "unread":
            fields = self._people.reasons.get(row.key, extra)
            reason = self.reasons.add(fields, unobservable=kind == "complete")
        if self._record is not None and (label == "fail" or kind in HELD):
            passed = ruled_pass if self.passes is not None else None
            self._record(_describe_group(row, label, kind, items, passed, reason))

    def _find_mission(self, name: str) -> Mission | None:
        if name not in self._by_name:
            self._by_name[name] = self._missions.find(name)
        return self._by_name[name]


def findings(lines: Iterable[str]) -> frozenset[str]:
    """Give all that lines say in one spelling, but for texts of labels, counts and the photo.

    >>> findings(["标签/A-1×1，螺丝/BBU安装螺丝,符合要求×2"]) == findings(
    ...     ["螺丝、光纤插头/BBU安装螺丝/符合要求", "标签/B-2×1"]
    ... )
    True
    """
    return frozenset(_spell_item(item) for line in lines for item in line.split("，"))


def _spell_item(item: str) -> str:
    is_label = item.startswith("标签/") and not any(word in item for word in _TELLING)
    return "标签" if is_label else _spell(item)


@lru_cache(maxsize=REMEMBERED_ITEMS)
def _spell(item: str) -> str:
    first, *behind = _COUNT.sub("", flatten(item)).replace(",", "/").split("/")
    return "/".join((spell_category(first), *behind))


def _read_people(run_dir: Path, truth: Truth, *, with_reasons: bool) -> _People:
    if truth == "labels":
        return _People(read_corrected_labels(run_dir), truth, {})
    labels, reasons = read_decided_labels(run_dir), {}
    if with_reasons:
        reasons = {
            decision.key: {REVIEW_FIELD: [*decision.opinion.faults, decision.opinion.comment]}
            for decision in Decisions(run_dir).all_current()
            if decision.opinion and (decision.opinion.faults or decision.opinion.comment)
        }
    return _People(labels, truth, reasons)


def _read_passes(run_dir: Path) -> _Passes | None:
    """Read which groups the model passed; None without verdicts."""
    paths = list_rows_files(run_dir / "stage_b")
    if not paths:
        return None
    return _Passes(Outcome.of(row) for path in paths for row in read_verdicts(path))


def _find_repeats(path: Path) -> Mapping[str, DuplicateRows]:
    """Find the groups that have several rows; lines that are none are told when all is read."""
    finder = DuplicateFinder()
    for row in read_each(path, SummaryRow):
        if not isinstance(row, RowError):
            finder.add(row.key)
    return finder.find(lambda: read_each(path, SummaryRow))


def _read_unfinished(path: Path) -> dict[str, Failure]:
    """Read the failures of a file: of groups that have no row, it is all that is known."""
    failures = read_failures(failures_file(path))
    return {failure.key: failure for failure in failures if isinstance(failure, Failure)}


def _is_unread(row: SummaryRow) -> bool:
    """Whether a group is left to people whatever its lines say."""
    return bool(row.meta.left_out or describe_gap(row))


def _describe_group(
    row: GroupRow,
    label: Label,
    kind: Kind,
    items: Sequence[EvidenceItem],
    passed: bool | None,
    reason: str,
) -> EvidenceGroup:
    return EvidenceGroup(
        group_id=row.group_id,
        mission=row.mission,
        label=label,
        kind=kind,
        model_passed=passed,
        reason=reason,
        items=tuple(item for item in items if item.state not in ("seen", "settled")),
    )
