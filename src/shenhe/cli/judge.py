"""`shenhe judge`: Stage-B."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from shenhe.cli.loading import LoadOptions, decisive_options, make_engine, max_new_tokens
from shenhe.cli.results import print_plan, print_problems, print_stage, tell_without_rules
from shenhe.cli.reuse import opened_reuse
from shenhe.cli.work import (
    ROWS_HELP,
    ChoiceOptions,
    PolicyOptions,
    TeachingOptions,
    WorkOptions,
    check_promise,
    choice_of,
    run_options,
    teaching_of,
    tell_choice,
    verdict_policy,
)
from shenhe.errors import RowError, RunError, spelled
from shenhe.options import Count, option, option_class, section
from shenhe.printable import on_one_line, show

if TYPE_CHECKING:
    from shenhe.config import Missions, Template
    from shenhe.engines.base import Engine
    from shenhe.formats.text_formats import TextFormats
    from shenhe.intake import GroupChoice
    from shenhe.runs import RunOptions, VerdictPolicy
    from shenhe.runs.stage_a_source import StageASource

ROWS_LOOKED_AT = 20
"""Rows of a file in which another format of lines is looked for."""


@option_class
class JudgeOptions:
    """Options of Stage-B."""

    load: LoadOptions = section("model")
    stage_a: Path = option("rows of `summarize`", metavar="FILE|DIR")
    output_dir: Path = option(ROWS_HELP, metavar="DIR")
    max_new_tokens: Count = max_new_tokens(128)
    policy: PolicyOptions = section("deciding", default=PolicyOptions())
    teaching: TeachingOptions = section(default=TeachingOptions())
    choice: ChoiceOptions = section("groups", default=ChoiceOptions())
    work: WorkOptions = section("work", default=WorkOptions())


def judge(options: JudgeOptions) -> int:
    """Write the verdict of every group, from its lines alone.

    Raises: RunError if there is no Stage-A row.
    """
    from shenhe.config import load_formats, load_missions, load_prompts
    from shenhe.runs import choose_verdicts, run_verdicts

    load = options.load
    missions, formats = load_missions(load.config.missions), load_formats(load.config.formats)
    prompts = load_prompts(load.config.prompts, formats)
    run = run_options(options.work)
    policy = verdict_policy(options.policy, options.policy.votes)
    choice = choice_of(options.choice, load.seed)
    sources = _find_sources(options.stage_a, missions)
    tell_without_rules((source.mission for source in sources), evidence=policy.evidence)
    teaching = teaching_of(options.teaching, missions, formats)
    for source in sources:
        _tell_other_formats(source, formats)
    if choice.decisive_options:
        chosen = [choose_verdicts(source, choice) for source in sources]
        tell_choice(choice, chosen, (mission.name for mission in missions), options.stage_a)
    if options.work.dry_run:
        return _print_plans(sources, options.output_dir, run, policy, choice)
    engine = make_engine(load)
    judged = [(source, teaching.apply(prompts, source.mission).verdict) for source in sources]
    _check_promise(options, policy, engine, judged, formats)
    codes = []
    with opened_reuse(policy, [source.path for source in sources]) as reuse:
        for source, template in judged:
            counts = run_verdicts(
                engine,
                source,
                template,
                options.output_dir,
                engine_options=decisive_options(load),
                run=run,
                max_new_tokens=options.max_new_tokens,
                policy=policy,
                choice=choice,
                formats=formats,
                reuse=reuse,
            )
            codes.append(print_stage("Stage-B", source.mission.name, counts, options.output_dir))
    return max(codes, default=0)


def _find_sources(stage_a: Path, missions: Missions) -> list[StageASource]:
    from shenhe.runs import find_stage_a

    sources = find_stage_a(stage_a, missions)
    if not sources:
        named = spelled("stage_a", stage_a)
        raise RunError(f"{named}: empty; `shenhe summarize` writes rows there")
    return sources


def _tell_other_formats(source: StageASource, formats: TextFormats) -> None:
    """Warn of lines in another format: their wrapper would be judged with them."""
    from shenhe.config import formats_by_hash
    from shenhe.formats.recognition import recognize
    from shenhe.row_types import SummaryRow
    from shenhe.rows.readers import read_each

    texts: list[str] = []
    for keyed in islice(read_each(source.path, SummaryRow), ROWS_LOOKED_AT):
        with suppress(RowError):  # a line that is no row is told by the run
            texts += [] if isinstance(keyed, RowError) else keyed.parse().per_image.values()
    fit = recognize("summary", texts, (formats, *formats_by_hash().values()))
    if fit is not None and fit.formats != formats:
        problem = f"{source.path}: {fit.describe('lines')}: {spelled('formats', fit.formats.name)}"
        show(on_one_line(f"shenhe: warning: {problem}"), file=sys.stderr)


def _print_plans(
    sources: Sequence[StageASource],
    folder: Path,
    run: RunOptions,
    policy: VerdictPolicy,
    choice: GroupChoice,
) -> int:
    from shenhe.runs import plan_verdicts

    faults: list[str] = []
    for source in sources:
        plan = plan_verdicts(source, folder, run, policy, choice)
        print_plan("Stage-B", source.mission.name, plan.groups, "one verdict each", plan.already)
        faults += plan.faults
    return print_problems(faults)


def _check_promise(
    options: JudgeOptions,
    policy: VerdictPolicy,
    engine: Engine,
    judged: Sequence[tuple[StageASource, Template]],
    formats: TextFormats,
) -> None:
    """Refuse a promise that was made for other verdicts.

    Raises: UsageError that names every difference.
    """
    from shenhe.runs.promised import fingerprint_of_judging

    made_by, tokens = decisive_options(options.load), options.max_new_tokens
    actual = {
        source.mission.name: fingerprint_of_judging(
            source, template, policy, engine, made_by, tokens, formats
        )
        for source, template in judged
    }
    check_promise(options.policy, policy, actual)
