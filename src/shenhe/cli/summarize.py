"""`shenhe summarize`: Stage-A."""

from __future__ import annotations

from pathlib import Path

from shenhe.cli.loading import (
    LoadOptions,
    decisive_options,
    make_engine,
    max_new_tokens,
    with_usual_batch_size,
)
from shenhe.cli.results import print_plan, print_problems, print_stage
from shenhe.cli.values import PhotoLocation
from shenhe.cli.work import (
    DATA_ROOT_HELP,
    ROWS_HELP,
    ChoiceOptions,
    TeachingOptions,
    TreeOptions,
    WorkOptions,
    choice_of,
    layout_of,
    run_options,
    teaching_of,
    tell_choice,
)
from shenhe.engines.options import BATCH_SIZE_HELP, BatchSize
from shenhe.options import Count, option, option_class, section

BATCH_SIZE = 4


@option_class
class SummarizeLoadOptions(LoadOptions):
    """A model and its engine, with the batches of the script that this command replaces."""

    batch_size: BatchSize | None = option(
        f"{BATCH_SIZE_HELP} (default: {BATCH_SIZE}; auto with a server)",
        default=None,
        metavar="N|auto",
    )


@option_class
class SummarizeOptions:
    """Options of Stage-A."""

    load: SummarizeLoadOptions = section("model")
    data_root: PhotoLocation = option(DATA_ROOT_HELP, metavar="DIR")
    mission: str = option("the mission's name", metavar="NAME")
    output_dir: Path = option(ROWS_HELP, metavar="DIR")
    max_new_tokens: Count = max_new_tokens(512)
    teaching: TeachingOptions = section(default=TeachingOptions())
    layout: TreeOptions = section("photo tree", default=TreeOptions())
    choice: ChoiceOptions = section("groups", default=ChoiceOptions())
    work: WorkOptions = section("work", default=WorkOptions())


def summarize(options: SummarizeOptions) -> int:
    """Write the line of every photo of a mission."""
    from shenhe.config import load_formats, load_missions, load_prompts
    from shenhe.intake import PhotoTree
    from shenhe.runs import plan_summaries, run_summaries

    load = options.load
    missions, formats = load_missions(load.config.missions), load_formats(load.config.formats)
    prompts = load_prompts(load.config.prompts, formats)
    mission = missions.get(options.mission)
    tree = PhotoTree(options.data_root, layout_of(options.layout))
    choice = choice_of(options.choice, load.seed)
    run = run_options(options.work)
    prompts = teaching_of(options.teaching, missions, formats).apply(prompts, mission)
    # A mission without a folder ends here, before the model is loaded.
    chosen = choice.choose(tree.group_ids(mission), mission.name)
    tell_choice(choice, [chosen], (other.name for other in missions), options.data_root)
    if options.work.dry_run:
        plan = plan_summaries(tree, mission, options.output_dir, run, choice)
        print_plan("Stage-A", mission.name, plan.groups, f"{plan.items} photos", plan.already)
        return print_problems(plan.faults)
    counts = run_summaries(
        make_engine(with_usual_batch_size(load, BATCH_SIZE)),
        tree,
        mission,
        prompts.summary,
        options.output_dir,
        engine_options=decisive_options(load),
        run=run,
        max_new_tokens=options.max_new_tokens,
        choice=choice,
        formats=formats,
    )
    return print_stage("Stage-A", mission.name, counts, options.output_dir)
