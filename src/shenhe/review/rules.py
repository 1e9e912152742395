"""The rule of a mission as people read it: what a group must show, and what it must not."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from shenhe.config import Mission
from shenhe.config.evidence import read_pattern
from shenhe.errors import RunError
from shenhe.rows.keys import rows_file
from shenhe.rows.manifest import guidance_of


class RuleItem(NamedTuple):
    """A need or a fault: any of `any_of` shows it.

    A need exists only where one of `when` is seen; a fault counts unless one of `unless` is.
    """

    name: str
    any_of: tuple[str, ...] = ()
    when: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()


class Rule(NamedTuple):
    """What a mission looks at, when a group passes, and what its lines must and must not show."""

    focus: str
    passes: str
    needs: tuple[RuleItem, ...]
    faults: tuple[RuleItem, ...]


def read_guidance(run_dir: Path, mission: str) -> tuple[str, ...]:
    """Read the written rules that the model had of a mission in a run, each text once.

    Example:
        read_guidance(Path("out"), "BBU接地线检查")  # ("只看机柜内的接地线",)

    """
    texts = []
    for stage in ("stage_a", "stage_b"):
        with suppress(RunError):  # a damaged manifest keeps no group from being shown
            texts.append(guidance_of(rows_file(run_dir / stage, mission)))
    return tuple(dict.fromkeys(filter(None, texts)))


def describe_rule(mission: Mission | None) -> Rule | None:
    """Put the rule of a mission in words; None for a mission that is not known.

    Example:
        rule = describe_rule(load_missions().find("BBU接地线检查"))
        rule.needs[0].name  # "机柜处接地螺丝 符合要求"

    """
    if mission is None:
        return None
    evidence = mission.evidence
    needs = (
        _describe(need.name, need.item)._replace(when=_spell(need.when))
        for need in (evidence.needs if evidence else ())
    )
    faults = (
        RuleItem(fault.title, unless=_spell(fault.unless))
        for fault in (evidence.faults if evidence else ())
    )
    return Rule(mission.focus, mission.rule, tuple(needs), tuple(faults))


def _describe(name: str, patterns: Sequence[str]) -> RuleItem:
    """Name a need by what is to be seen; several of which any will do are listed below its name."""
    texts = _spell(patterns)
    return RuleItem(name, texts) if len(texts) > 1 else RuleItem(name or texts[0])


def _spell(patterns: Sequence[str]) -> tuple[str, ...]:
    return tuple(read_pattern(pattern).finding for pattern in patterns)
