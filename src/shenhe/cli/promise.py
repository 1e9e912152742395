"""`shenhe promise`: a threshold for each mission that keeps false passes below a share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from shenhe.cli.databases import DatabaseOptions, follow_decisions
from shenhe.errors import OptionError
from shenhe.options import Count, argument, option, option_class, section
from shenhe.printable import show

if TYPE_CHECKING:
    from shenhe.promise import Goal, Proposal

COLUMNS = 140


@option_class
class PromiseOptions:
    """Options of a promise."""

    run_dir: Path = argument("RUN_DIR", "what `run` wrote")
    max_false_pass: float = option(
        "at most this share of the groups that people fail may pass", metavar="SHARE"
    )
    confidence: float = option(
        "the promise holds in this share of samples", default=0.95, metavar="C"
    )
    pooled: bool = option("one threshold for all missions", default=False)
    truth: Literal["labels", "decisions", "audit"] = option(
        "labels of the photo tree, what people decided in `review`, or what a blind audit found",
        default="labels",
    )
    cluster: str = option(
        "failed groups that share photos, or the value of a field of their rows, count once; none:"
        " all count",
        default="photos",
        metavar="photos|none|FIELD",
    )
    not_these: tuple[Path, ...] = option(
        "leave out groups with a photo of these training rows, or that a list names by id::label",
        default=(),
        metavar="TRAIN.jsonl",
    )
    candidates: Count = option(
        "so many promises are tried on the same labels: they share the risk", default=1, metavar="N"
    )
    missed_by_people: float = option(
        "people overlook at most this share of the bad groups that the model passes",
        default=0.0,
        metavar="SHARE",
    )
    output: Path = option("where the promise goes", metavar="FILE.json")
    team: DatabaseOptions = section(default=DatabaseOptions())


def promise(options: PromiseOptions) -> int:
    """Promise a bound on false passes, where the labels allow it."""
    from shenhe.cli.tables import print_table, show_words
    from shenhe.promise import (
        Goal,
        Terms,
        describe,
        describe_goal,
        promise_tables,
        propose,
        write_proposal,
    )

    _check(options)
    follow_decisions([options.run_dir], options.team)
    goal = Goal(
        options.max_false_pass, options.confidence, options.candidates, options.missed_by_people
    )
    proposal = propose(
        options.run_dir,
        Terms(goal, options.truth, options.cluster, options.pooled, options.not_these),
    )
    _show_limits(proposal, goal)
    for words in describe_goal(goal):
        show_words(words)
    for table in promise_tables(proposal):
        print_table(table.head, table.rows, title=table.title, width=COLUMNS)
    for words in describe(proposal):
        show_words(words)
    if not proposal.promised:
        show(f"nothing can be promised: {options.output} was not written")
        return 2
    write_proposal(options.output, proposal)
    show(f"promise: {options.output}")
    return 1 if proposal.promised < len(proposal.findings) else 0


def _show_limits(proposal: Proposal, goal: Goal) -> None:
    """Say where lines alone cannot tell enough bad groups from good ones."""
    from shenhe.cli.tables import show_words
    from shenhe.evaluation import EvidenceTally, describe_limit

    for mission, finding in proposal.findings.items():
        complete, total = finding.sample.complete, finding.sample.held_to_rules
        tally = EvidenceTally()
        tally.failed["complete"], tally.failed["missing"] = complete, total - complete
        if (tally.lowest_false_pass.value or 0) > goal.max_false_pass:
            show_words(describe_limit(mission, tally))


def _check(options: PromiseOptions) -> None:
    for name, value in (
        ("max_false_pass", options.max_false_pass),
        ("confidence", options.confidence),
    ):
        if not 0 < value < 1:
            raise OptionError(name, value, "must be between 0 and 1")
    if not 0 <= options.missed_by_people < 1:
        raise OptionError("missed_by_people", options.missed_by_people, "must be from 0 to below 1")
