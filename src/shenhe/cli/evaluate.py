"""`shenhe evaluate`: figures on the terminal, as JSON and as a page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from shenhe.cli.databases import DatabaseOptions, follow_decisions
from shenhe.cli.results import print_faults, print_lost
from shenhe.errors import OptionError, spelled
from shenhe.options import Count, argument, option, option_class, section
from shenhe.printable import show, show_data, worded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shenhe.evaluation.page import Table
    from shenhe.evaluation.verdicts import VerdictScores
    from shenhe.row_types import Row
    from shenhe.rows.outcomes import Outcome

JSON_HELP = "write the figures there too"
TRUTH_HELP = "labels of the photo tree, or what people decided in `review`"
CAPTION_COLUMNS, VERDICT_COLUMNS, EVIDENCE_COLUMNS = 120, 160, 160


@option_class
class CaptionsOptions:
    """Options of the measures of captions."""

    predictions: Path = option("rows of `caption`", metavar="FILE.jsonl")
    truth: Path = option(
        "training rows, in pixels, or corrected rows of `caption`; or what a labelling tool wrote",
        metavar="PATH",
    )
    photos: Path | None = option(
        "where the photos of the truth are, if not where it says", default=None, metavar="DIR"
    )
    json: Path | None = option(JSON_HELP, default=None, metavar="FILE")
    html: Path | None = option(
        "write a page with the worst photos drawn", default=None, metavar="FILE"
    )
    worst: Count = option("so many photos on the page", default=20, metavar="N")


@option_class
class VerdictsOptions:
    """Options of the measures of verdicts."""

    run_dir: Path = argument("RUN_DIR", "what `run` wrote")
    against: Path | None = option(
        "is it better than this other run?", default=None, metavar="RUN_DIR"
    )
    max_false_pass: float | None = option(
        "what threshold lets at most this share of the groups pass that people fail",
        default=None,
        metavar="SHARE",
    )
    confidence: float = option("of that promise", default=0.95, metavar="C")
    truth: Literal["labels", "decisions"] = option(TRUTH_HELP, default="labels")
    json: Path | None = option(JSON_HELP, default=None, metavar="FILE")
    html: Path | None = option("write a page with curves", default=None, metavar="FILE")
    team: DatabaseOptions = section(default=DatabaseOptions())


@option_class
class EvidenceOptions:
    """Options of the survey of what lines show."""

    run_dir: Path = argument("RUN_DIR", "what `run` wrote")
    missions: Path | None = option("missions of your own (TOML)", default=None, metavar="FILE")
    truth: Literal["labels", "decisions"] = option(TRUTH_HELP, default="labels")
    reason: str | None = option(
        "the key of rows that holds people's reasons; default: a likely one",
        default=None,
        metavar="FIELD",
    )
    list: Path | None = option(
        "write the failed groups, and those that the rules hold back",
        default=None,
        metavar="FILE.jsonl",
    )
    json: Path | None = option(JSON_HELP, default=None, metavar="FILE")
    html: Path | None = option("write a page of them", default=None, metavar="FILE")
    team: DatabaseOptions = section(default=DatabaseOptions())


def captions(options: CaptionsOptions) -> int:
    """Measure captions against truth."""
    from shenhe.evaluation import count_problems, score_captions, tables, write_page
    from shenhe.imports import Reading
    from shenhe.intake import read_annotations

    reading = Reading()
    scores, photos = score_captions(
        read_annotations(options.predictions, reading),
        read_annotations(options.truth, reading, photos_folder=options.photos),
    )
    scores.format_errors, scores.repairs = count_problems(options.predictions)
    for table in tables(scores):
        _print_table(table, CAPTION_COLUMNS)
    line = f"{scores.photos} photos, {scores.unanswered} without a caption"
    if scores.not_in_truth:
        line += f"; {scores.not_in_truth} captions are of photos that the truth does not know"
    if scores.repeated.alike:
        line += f"; {scores.repeated.alike} rows name a photo once more, alike, and count once"
    show(line)
    _write_json(options.json, scores.to_json())
    if options.html is not None:
        worst = photos[: options.worst]
        write_page(
            options.html, scores, worst, predictions=options.predictions, truth=options.truth
        )
        show(f"page: {options.html}")
    print_lost("of the rows", reading.lost)
    return print_faults([*reading.faults, *scores.repeated.faults])


def verdicts(options: VerdictsOptions) -> int:
    """Measure verdicts against labels, or against what people decided."""
    from shenhe.evaluation import (
        describe_scores,
        read_outcomes,
        score_verdicts,
        write_verdict_page,
    )
    from shenhe.rows.words import Words

    _check_shares(options)
    follow_decisions([options.run_dir], options.team)
    lost: dict[str, int] = {}
    outcomes = read_outcomes(options.run_dir, options.truth, lost)
    scores = score_verdicts(outcomes)
    words = Words("结论", "Verdicts")
    if options.truth == "decisions":
        words = Words("结论与人工结论对照", "Verdicts against people's decisions")
    title = words.spoken()
    report = _VerdictReport()
    report.add_table(title, scores)
    report.figures |= _figures(scores)
    report.lines += describe_scores(scores)
    if options.truth == "labels":
        report.add_decisions(options.run_dir)
    if options.max_false_pass is not None:
        report.add_promise(options.max_false_pass, options)
    if options.against is not None:
        against = read_outcomes(options.against, options.truth, lost)
        report.add_comparison(options.against, outcomes, against)
    for line in report.lines:
        show_data(line)
    _write_json(options.json, report.figures)
    if options.html is not None:
        name = options.run_dir.resolve().name
        further = report.tables[1:]
        write_verdict_page(options.html, name, title, outcomes, scores, further, report.lines)
        show(f"page: {options.html}")
    print_lost("of the rows", lost)
    return 0


def evidence(options: EvidenceOptions) -> int:
    """Say what the lines of a run show of the groups that people failed and passed."""
    from shenhe.cli.tables import show_words
    from shenhe.config import load_missions
    from shenhe.evaluation import (
        describe_survey,
        evidence_tables,
        survey_evidence,
        write_evidence_page,
    )

    run_dir, truth = options.run_dir, options.truth
    follow_decisions([run_dir], options.team)
    with _rows_writer(options.list) as record:
        survey = survey_evidence(
            run_dir, load_missions(options.missions), truth, options.reason, record
        )
    for table in evidence_tables(survey):
        _print_table(table, EVIDENCE_COLUMNS)
    sentences = describe_survey(survey)
    for words in sentences:
        show_words(words)
    words_of_them = {"sentences": [words._asdict() for words in sentences]}
    _write_json(options.json, survey.to_json() | words_of_them)
    if options.html is not None:
        write_evidence_page(options.html, run_dir.resolve().name, truth, survey)
        show(f"page: {options.html}")
    return 0


@contextmanager
def _rows_writer(path: Path | None) -> Iterator[Callable[[Row], object] | None]:
    """Open a file of rows that is written whole or not at all; None without one."""
    from shenhe.files import whole_file

    if path is None:
        yield None
        return
    with whole_file(path) as partial, partial.open("w", encoding="utf-8") as file:
        yield lambda row: file.write(row.to_json() + "\n")


@dataclass(slots=True)
class _VerdictReport:
    """What is printed and written of the verdicts of a run: tables, figures, sentences."""

    tables: list[Table] = field(default_factory=list)
    figures: dict[str, object] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def add_table(self, title: str, scores: Mapping[str, VerdictScores]) -> None:
        """Print a table."""
        from shenhe.evaluation import verdict_table

        table = verdict_table(title, scores)
        self.tables.append(table)
        _print_table(table, VERDICT_COLUMNS)

    def add_decisions(self, run_dir: Path) -> None:
        """Measure against people's decisions, if they have made some."""
        from shenhe.evaluation import has_decisions, read_outcomes, score_verdicts
        from shenhe.rows.words import Words

        if not has_decisions(run_dir):
            return
        scores = score_verdicts(read_outcomes(run_dir, "decisions"))
        if scores[""].coverage.total:
            title = Words("与审核页面中的人工结论对照", "Against people's decisions in review")
            self.add_table(title.spoken(), scores)
            self.figures["decisions"] = _figures(scores)

    def add_promise(self, share: float, options: VerdictsOptions) -> None:
        """Say what `shenhe promise` would promise of each mission."""
        from shenhe.evaluation.page import Table
        from shenhe.promise import Goal, Terms, describe, describe_goal, promise_tables, propose

        terms = Terms(Goal(share, options.confidence), options.truth)
        proposal = propose(options.run_dir, terms)
        self.figures["promise"] = proposal.to_json()
        for table in promise_tables(proposal):
            self.tables.append(Table(*table))
            _print_table(self.tables[-1], VERDICT_COLUMNS)
        for words in (*describe_goal(terms.goal), *describe(proposal)):
            self.lines += words.lines()
        if proposal.promised:
            bound, output = (
                spelled("max_false_pass", f"{share:g}"),
                spelled("output", "promise.json"),
            )
            how = f"`shenhe promise {options.run_dir} {bound} {output}` writes it down, to run with"
            self.lines.append(worded(how))

    def add_comparison(
        self, run_dir: Path, outcomes: Sequence[Outcome], baseline: Sequence[Outcome]
    ) -> None:
        """Compare with another run on the groups that both have."""
        from shenhe.evaluation import compare

        result = compare(outcomes, baseline)
        self.figures["comparison"] = result._asdict()
        line = (
            f"against {run_dir}: of {result.groups} labelled groups in both,"
            f" {result.only_first_right} are right here alone, {result.only_second_right} there"
            f" alone; McNemar's p = {result.p_value:.3g}"
        )
        self.lines.append(worded(line))


def _check_shares(options: VerdictsOptions) -> None:
    for name, value in (
        ("max_false_pass", options.max_false_pass),
        ("confidence", options.confidence),
    ):
        if value is not None and not 0 < value < 1:
            raise OptionError(name, value, "must be between 0 and 1")


def _figures(scores: Mapping[str, VerdictScores]) -> dict[str, object]:
    return {name or "all": score.to_json() for name, score in scores.items()}


def _print_table(table: Table, width: int) -> None:
    from shenhe.cli.tables import print_table

    print_table(table.head, table.rows, title=table.title, width=width)


def _write_json(path: Path | None, figures: Mapping[str, object]) -> None:
    from shenhe.files import whole_file

    if path is None:
        return
    text = json.dumps(figures, ensure_ascii=False, indent=2) + "\n"
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
