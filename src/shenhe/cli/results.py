"""Results on the terminal: counts of an output, problems, marks of findings."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shenhe.languages import Words
from shenhe.printable import on_one_line, show, show_data, worded

if TYPE_CHECKING:
    from shenhe.config import Mission, Missions
    from shenhe.intake import PhotoTree
    from shenhe.runs import RunCounts

MAX_FAULTS = 50
"""Faults that are printed; all are counted."""
MARKS: Final = {
    "ok": Words("正常", "ok     "),
    "warning": Words("警告", "warning"),
    "error": Words("错误", "ERROR  "),
}


def print_counts(title: str, unit: str, counts: RunCounts, failures: Path) -> int:
    """Print the counts of an output on stderr, and return the exit code."""
    kept = counts.kept()
    parts = [f"{kept.done} {unit} done"]
    parts += [f"{counts.already} of them before"] if counts.already else []
    parts += [f"{kept.failed} failed"] if kept.failed else []
    parts += [f"{kept.undecided} undecided"] if kept.undecided else []
    show(f"{title}: {', '.join(parts)}", file=sys.stderr)
    labels = {
        "done anew": counts.done_anew,
        "kept as they are": counts.kept_as_is,
        "passed over": counts.passed_over,
        "repaired": counts.repairs,
    }
    for label, counter in labels.items():
        if counter:
            kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(counter.items()))
            show(f"  {label}: {kinds}", file=sys.stderr)
    if counts.damaged_inside:
        damaged = f"{counts.damaged_inside} photos, read all the same; `facts` in their rows tell"
        show(f"  damaged inside: {damaged}", file=sys.stderr)
    for hint in counts.hints:
        show(on_one_line(f"  {hint}"), file=sys.stderr)
    print_problems(counts.faults)
    if kept.failed or kept.undecided:
        show(f"  listed in {failures}", file=sys.stderr)
    return int(not counts.complete)


def tell_without_rules(missions: Iterable[Mission | None], *, evidence: bool) -> None:
    """Warn of missions whose 通过 nothing but the model's word supports.

    A file of missions that names a built-in one replaces it with its evidence rules. Whoever turned
    the rules off knows it.
    """
    for mission in missions if evidence else ():
        rules = mission.evidence if mission else None
        if mission and not (rules and (rules.needs or rules.faults)):
            warning = (
                f"shenhe: warning: mission {mission.name} has no evidence rules: its lines are"
                " held against nothing, and a 通过 rests on the model's word and its own reason;"
                " write [mission.evidence] with needs and faults"
            )
            show(on_one_line(warning), file=sys.stderr)


def print_problems(problems: Iterable[str]) -> int:
    """Print problems on stderr, and return the exit code: 1 if there is one, else 0."""
    code = 0
    for problem in problems:
        show(on_one_line(f"shenhe: {problem}"), file=sys.stderr)
        code = 1
    return code


def print_faults(faults: Sequence[str]) -> int:
    """Print rows that could not be read on stderr, and return the exit code: 1 if there is one."""
    print_problems(faults[:MAX_FAULTS])
    if len(faults) > MAX_FAULTS:
        show(f"  and {len(faults) - MAX_FAULTS} more", file=sys.stderr)
    if faults:
        show(f"  not read: {len(faults)}; the others are", file=sys.stderr)
    return int(bool(faults))


def print_lost(title: str, lost: Mapping[str, int]) -> None:
    """Print what a format could not hold on stderr, where there is something."""
    for loss, count in sorted(lost.items()):
        if count:
            show(f"  {title}: {count} {worded(loss)}", file=sys.stderr)


def print_stage(stage: str, mission: str, counts: RunCounts, folder: Path) -> int:
    """Print the counts of a stage of a mission, and return the exit code."""
    return print_counts(f"{stage} {mission}", "groups", counts, folder / "*.failures.jsonl")


def print_finding(level: str, message: str, remedy: str = "", *, before: str = "") -> None:
    """Print a finding behind its mark, and what to do about it."""
    behind = f": {worded(remedy)}" if remedy else ""
    show_data(on_one_line(f"{before}{MARKS[level].told()} {worded(message)}{behind}"))


def print_plan(stage: str, mission: str, groups: int, items: str, already: int) -> None:
    """Print the plan of a stage of a mission."""
    show(f"{stage} {mission}: would do {groups} groups ({items}); {already} are done")


def print_unknown_folders(tree: PhotoTree, missions: Missions) -> int:
    """Warn of folders that are no mission's; misspelled ones are problems: give the exit code."""
    misspelled = tree.misspelled_folders(missions)
    for folder in tree.unknown_folders(missions):
        if folder not in misspelled:
            warning = on_one_line(f"shenhe: warning: folder {folder} is no known mission")
            show(warning, file=sys.stderr)
    return print_problems(misspelled.values())
