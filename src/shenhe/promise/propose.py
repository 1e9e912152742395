"""What can be promised of a run: a threshold for each of its missions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from shenhe.config.missions import normalize_name
from shenhe.errors import OptionError
from shenhe.promise.audited import Looks
from shenhe.promise.by_audit import find_by_audit, read_audited
from shenhe.promise.clusters import Clusters, cluster_by_field, cluster_by_photos
from shenhe.promise.find import Finding, apply_threshold, find_promise
from shenhe.promise.reading import Reading, find_unended, read_samples
from shenhe.promise.sample import Sample, pool
from shenhe.promise.threshold import Goal
from shenhe.promise.training import TrainingGroups, find_training_groups
from shenhe.row_types import utc_now
from shenhe.rows.promise_fingerprints import fingerprint_of_run
from shenhe.rows.promises import MissionPromise, Promise, Truth, write_promise

BY_PHOTOS, NO_CLUSTERS = "photos", "none"
ALL: Final = "全部 all"


@dataclass(frozen=True, slots=True)
class Terms:
    """How a promise is to be made: see the options of `shenhe promise`.

    >>> Terms(Goal(0.05), cluster="site").truth
    'labels'
    """

    goal: Goal
    truth: Truth = "labels"
    cluster: str = BY_PHOTOS
    pooled: bool = False
    not_these: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Proposal:
    """What can be promised of each mission of a run, and what could not be compared.

    `pooled` is the finding of all missions together, if one threshold for all was wanted.

    Example:
        thresholds = {mission: f.threshold for mission, f in proposal.findings.items()}

    """

    run_dir: Path
    terms: Terms
    findings: Mapping[str, Finding]
    clusters: Clusters
    training: TrainingGroups
    pooled: Finding | None = None
    ties: Mapping[str, int] = field(default_factory=dict)
    """Fields that failed groups have in common, with the number of their values."""
    unended: Sequence[str] = ()
    """Outputs that are under way, or were interrupted: what they lack may be of another kind."""

    @property
    def promised(self) -> int:
        """The number of missions for which something can be promised."""
        return sum(finding.threshold is not None for finding in self.findings.values())

    def named_findings(self) -> dict[str, Finding]:
        """Give the findings by mission, and first that of all together, if there is one."""
        pooled = {} if self.pooled is None else {ALL: self.pooled}
        return pooled | dict(self.findings)

    def to_json(self) -> dict[str, object]:
        """Give the figures of each mission."""
        return {
            mission: {
                "threshold": finding.threshold,
                "problem": finding.problem.en,
                "failed": finding.failed,
                "slipped": finding.slipped,
                "allowed": max(finding.allowed, 0),
                "unreadable": finding.sample.unreadable,
                "false_pass": finding.all_slipped.to_json(),
                "left_to_people": finding.left_to_people.to_json(),
            }
            for mission, finding in self.findings.items()
        }

    def to_promise(self) -> Promise:
        """Make the promise, bound to what the verdicts of each mission are made by.

        Raises: RunError if a manifest or a row cannot be read.
        """
        goal, terms = self.terms.goal, self.terms
        return Promise(
            max_false_pass=goal.max_false_pass,
            confidence=goal.confidence,
            candidates=goal.candidates,
            truth=terms.truth,
            cluster=NO_CLUSTERS if terms.truth == "audit" else terms.cluster,
            pooled=terms.pooled,
            timestamp=utc_now(),
            missions={
                mission: MissionPromise(
                    threshold=finding.threshold,
                    failed=finding.failed,
                    slipped=finding.slipped,
                    unreadable=finding.sample.unreadable,
                    left_to_people=finding.left_to_people.value,
                    fingerprint=fingerprint_of_run(self.run_dir, mission),
                )
                for mission, finding in self.findings.items()
            },
        )


def propose(run_dir: Path, terms: Terms) -> Proposal:
    """Find what can be promised of a run.

    Raises: RunError if rows, decisions or training rows cannot be read; OptionError if rows lack
    the field that ties groups together, or for what an audit cannot tell apart.

    Example:
        proposal = propose(Path("out"), Terms(Goal(0.05)))

    """
    _check(terms)
    training = TrainingGroups(frozenset())
    if terms.not_these:
        training = find_training_groups(run_dir, terms.not_these)
    reading = read_samples(run_dir, terms.truth, training.keys, terms.cluster)
    clusters = _find_clusters(run_dir, terms.cluster, reading)
    samples = dict(sorted(reading.samples.items()))
    pooled = None
    if terms.truth == "audit":
        findings = _find_by_audit(run_dir, samples, terms.goal)
    else:
        findings = {
            mission: find_promise(sample, terms.goal, clusters.of)
            for mission, sample in samples.items()
        }
    if terms.pooled:
        alike = {mission: each for mission, each in samples.items() if not each.is_mixed}
        pooled = find_promise(pool(alike.values()), terms.goal, clusters.of)
        for mission, sample in alike.items():
            findings[mission] = apply_threshold(sample, pooled, terms.goal, clusters.of)
    unended = find_unended(run_dir)
    return Proposal(run_dir, terms, findings, clusters, training, pooled, reading.ties, unended)


def _check(terms: Terms) -> None:
    """Refuse what an audit cannot tell apart."""
    if terms.truth != "audit":
        return
    problem = "not with an audit, which counts every group of a mission by itself"
    if terms.pooled or terms.not_these:
        raise OptionError("pooled" if terms.pooled else "not_these", None, problem)
    if terms.cluster not in (BY_PHOTOS, NO_CLUSTERS):
        raise OptionError("cluster", terms.cluster, problem)


def _find_by_audit(run_dir: Path, samples: Mapping[str, Sample], goal: Goal) -> dict[str, Finding]:
    by_name: dict[str, list[Looks]] = defaultdict(list)
    for looks in read_audited(run_dir):
        by_name[normalize_name(looks.stratum.mission)].append(looks)
    return {
        mission: find_by_audit(sample, by_name[normalize_name(mission)], goal)
        for mission, sample in samples.items()
    }


def _find_clusters(run_dir: Path, cluster: str, reading: Reading) -> Clusters:
    keys = reading.failed_keys
    if cluster == NO_CLUSTERS or not keys:  # as for an audit
        return Clusters()
    if cluster == BY_PHOTOS:
        return cluster_by_photos(run_dir, keys)
    return cluster_by_field(run_dir, cluster, keys, reading.values, reading.fields)


def write_proposal(path: Path, proposal: Proposal) -> None:
    """Write what can be promised, with what the verdicts of each mission are made by.

    Raises: RunError if a manifest or a row cannot be read, or the disk refuses it.

    Example:
        write_proposal(Path("promise.json"), propose(Path("out"), Terms(Goal(0.05))))

    """
    write_promise(path, proposal.to_promise())
