"""`shenhe decide`: finished verdicts decided anew, without a model."""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from shenhe.cli.loading import formats_option
from shenhe.cli.results import print_counts, tell_without_rules
from shenhe.cli.reuse import opened_reuse
from shenhe.cli.work import StandingOptions, check_promise, verdict_policy
from shenhe.languages import Words
from shenhe.options import Name, argument, option, option_class, section
from shenhe.printable import on_one_line, show, show_data

if TYPE_CHECKING:
    from shenhe.runs.decide import Changes


@option_class
class DecideOptions:
    """Options of a decision."""

    run_dir: Path = argument("RUN_DIR", "stage_a/ and stage_b/ of a run, or of another tool")
    output_dir: Path = option(
        "a folder for what is decided anew; an earlier decision there is replaced", metavar="DIR"
    )
    missions: Path | None = option("missions of your own (TOML)", default=None, metavar="FILE")
    formats: Name = formats_option("", "; default: those that the rows name, else plain")
    policy: StandingOptions = section("deciding", default=StandingOptions())


def decide(options: DecideOptions) -> int:
    """Decide every verdict of a run anew, and print what has changed.

    Raises: OptionError for a folder that holds something else; UsageError for a promise that was
    made for other verdicts; RunError.
    """
    from shenhe.config import load_formats, load_missions
    from shenhe.runs.decide import DecideFolder, decide_file, find_verdict_files
    from shenhe.shards import list_rows_files

    missions, policy = load_missions(options.missions), verdict_policy(options.policy)
    formats = load_formats(options.formats) if options.formats else None
    files = find_verdict_files(options.run_dir)
    folder = DecideFolder(options.output_dir, options.run_dir)
    actual = {file.mission: file.fingerprint(policy, missions, formats) for file in files}
    check_promise(options.policy, policy, actual)
    tell_without_rules((missions.find(name) for name in actual), evidence=policy.evidence)
    codes = []
    with folder.opened({file.path.name for file in files}), ExitStack() as stack:
        stage_a = list_rows_files(folder.stage_a)
        reuse = stack.enter_context(opened_reuse(policy, stage_a))
        for file in files:
            changes = decide_file(file, folder, missions, policy, formats, reuse)
            _print_changes(file.mission, changes)
            failures = folder.stage_b / "*.failures.jsonl"
            codes.append(print_counts(file.mission, "groups", changes.counts, failures))
            for name in changes.unconfigured:
                warning = f"shenhe: warning: mission {name} is not configured: no evidence rules"
                show(on_one_line(warning), file=sys.stderr)
    return max(codes)


def _print_changes(mission: str, changes: Changes) -> None:
    """Print how many groups have each verdict, and what each was before that is another now."""
    from shenhe.rows.words import UNDECIDED
    from shenhe.values import FAIL, PASS

    decided, undecided = (PASS, FAIL), UNDECIDED.told()
    totals: Counter[str] = Counter()
    moved: list[str] = []
    for (before, after), count in sorted(changes.verdicts.items()):
        totals[after if after in decided else undecided] += count
        if (before or undecided) != (after if after in decided else undecided):
            moved.append(f"{count} {before or undecided} -> {after}")
    parts = ", ".join(f"{totals[name]} {name}" for name in (*decided, undecided))
    changed = ", ".join(moved) or Words("与先前相同", "as before").told()
    show_data(f"{mission}: {parts}; {changed}")
