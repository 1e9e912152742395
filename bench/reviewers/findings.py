"""What a database holds of a team's work, compared with what the team was told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from bench.reviewers.people import Act, Heard, choose
from shenhe.rows.decision_rows import Decision
from shenhe.rows.second_plans import SecondPlan
from shenhe.team import SecondOpinion, SecondOpinions, SharedDecisions, open_database

EVERYTHING = 100_000


class Stored(NamedTuple):
    """Decisions, those of a lead between two opinions, second opinions, and the plan of these."""

    decisions: list[Decision]
    settled: list[Decision]
    seconds: list[SecondOpinion]
    plan: SecondPlan

    @property
    def drawn(self) -> set[str]:
        """Keys of the groups that another person is asked about."""
        return {row.key for row in self.decisions if self.plan.draws(row.key)}


def read_stored(run_dir: Path, url: str) -> Stored:
    """Read what is stored of a run."""
    database = open_database(run_dir, url)
    opinions = SecondOpinions(database)
    rows = SharedDecisions(run_dir, database).trail(count=EVERYTHING)
    plan = opinions.plan()
    assert plan is not None
    settled = [row for row in rows if row.opinion and row.opinion.adjudicates]
    decisions = [row for row in rows if row not in settled]
    seconds = opinions.trail(count=EVERYTHING)
    database.close()
    return Stored(decisions, settled, seconds, plan)


class Comparison(NamedTuple):
    """Figures in the words of the table, and how often something was lost or done twice."""

    figures: dict[str, int]
    faults: dict[str, int]


def compare(stored: Stored, heard: Heard, groups: int) -> Comparison:
    """Compare what is stored with what people were told."""
    decided = _signed(stored.decisions)
    given = _signed(stored.seconds)
    first = {row.key: row for row in stored.decisions}
    disputed = {key for _, key in given if _differ(first[key])}
    figures = {
        "decisions in the database": len(decided),
        "decisions acknowledged to browsers": len(heard.acts["decision"]),
        "decisions stored whose answer died with the server": _beside(decided, heard, "decision"),
        "second opinions drawn": len(stored.drawn),
        "second opinions in the database": len(given),
        "second opinions acknowledged to browsers": len(heard.acts["second"]),
        "second opinions stored whose answer died with the server": _beside(given, heard, "second"),
        "disagreements": len(disputed),
        "disagreements decided by the lead": len(stored.settled),
    }
    faults = {
        "decisions acknowledged and lost": _lost(decided, heard, "decision"),
        "groups decided twice unasked": _repeated(decided),
        "groups left undecided": groups - len(first),
        "second opinions acknowledged and lost": _lost(given, heard, "second"),
        "second opinions given twice on a group": _repeated(given),
        "second opinions by whoever had decided": len(set(given) & set(decided)),
        "second opinions that nobody had asked for": len({key for _, key in given} - stored.drawn),
        "second opinions drawn and not given": len(stored.drawn - {key for _, key in given}),
        "opinions stored otherwise than they were given": _altered(stored),
        "disagreements not decided, or twice": _unsettled(stored, disputed),
        "decisions of the lead acknowledged and lost": _lost(
            _signed(stored.settled), heard, "settled"
        ),
    }
    return Comparison(figures, faults)


def _signed(rows: Collection[Decision] | Collection[SecondOpinion]) -> list[tuple[str, str]]:
    return [(row.reviewer, row.key) for row in rows]


def _lost(stored: list[tuple[str, str]], heard: Heard, act: Act) -> int:
    return sum((Counter(heard.acts[act]) - Counter(stored)).values())


def _beside(stored: list[tuple[str, str]], heard: Heard, act: Act) -> int:
    return sum((Counter(stored) - Counter(heard.acts[act])).values())


def _repeated(stored: list[tuple[str, str]]) -> int:
    return len(stored) - len({key for _, key in stored})


def _number(row: Decision | SecondOpinion) -> int:
    return int(row.group_id.rpartition("-")[2])


def _differ(row: Decision) -> bool:
    return choose("decision", _number(row)) != choose("second", _number(row))


def _altered(stored: Stored) -> int:
    """Count rows that hold another choice than the key that was pressed for their group."""
    acts: tuple[tuple[Act, list[Decision] | list[SecondOpinion]], ...] = (
        ("decision", stored.decisions),
        ("second", stored.seconds),
        ("settled", stored.settled),
    )
    return sum(
        row.opinion is None or row.opinion.choice != choose(act, _number(row))
        for act, rows in acts
        for row in rows
    )


def _unsettled(stored: Stored, disputed: set[str]) -> int:
    """Count disagreements without exactly one decision of the lead that names both opinions."""
    first = {row.key: row for row in stored.decisions}
    second = {row.key: row for row in stored.seconds}
    settled = Counter(
        row.key
        for row in stored.settled
        if row.opinion
        and (between := row.opinion.adjudicates)
        and row.key in disputed
        and (between.first, between.second) == (first[row.key].number, second[row.key].number)
        and between.reviewers == (first[row.key].reviewer, second[row.key].reviewer)
    )
    beside = len(stored.settled) - settled.total()
    return beside + sum(settled[key] != 1 for key in disputed)
