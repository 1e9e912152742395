"""The figures of the totals: each as a value, and as a formula over the list of groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import NormalDist
from typing import Final, NamedTuple

from openpyxl.utils import get_column_letter

from shenhe.proportions import Share
from shenhe.report.reading import VERDICTS, MissionTotals
from shenhe.report.sheet.words import CONFIDENCE, Speaker
from shenhe.rows.decision_rows import DEFERRED
from shenhe.values import FAIL, PASS

Z: Final = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
"""The number of standard deviations of Wilson's interval."""
_WILDCARDS: Final = "~*?"


class Figure(NamedTuple):
    """A figure of the totals: its name among the words of sheets, its value and its formula."""

    name: str
    value: float | int | None
    formula: str
    is_share: bool = False


class GroupRanges:
    r"""The cells of the list of groups, which may go on in further lists, for formulas.

    >>> ranges = GroupRanges([("组", 2)], {"final": 3})
    >>> ranges.count({"final": "通过"})
    'COUNTIFS(\'组\'!$C$2:$C$3,"通过")'
    """

    def __init__(self, lists: Sequence[tuple[str, int]], columns: Mapping[str, int]) -> None:
        """Take names of lists with their numbers of groups, and columns by name, from 1 on."""
        self._lists, self._columns = lists, columns

    def count(self, conditions: Mapping[str, str], mission: str = "") -> str:
        """Count the groups whose columns have these texts; `mission` is a criterion, as a formula.

        It stands for `criterion_of`; empty: of all missions.
        """
        pairs = {name: f'"{text}"' for name, text in conditions.items()}
        if mission:
            pairs = {"mission": mission} | pairs
        return self._over_lists(
            lambda name, groups: self._criteria("COUNTIFS(", name, groups, pairs)
        )

    def add_up(self, column: str, mission: str = "") -> str:
        """Add up a column."""
        if not mission:
            return self._over_lists(
                lambda name, groups: f"SUM({self._cells(name, groups, column)})"
            )
        pairs = {"mission": mission}
        return self._over_lists(
            lambda name, groups: self._criteria(
                f"SUMIFS({self._cells(name, groups, column)},", name, groups, pairs
            )
        )

    def count_all(self, mission: str = "") -> str:
        """Count the groups."""
        if mission:
            return self.count({}, mission)
        return self._over_lists(lambda name, groups: f"ROWS({self._cells(name, groups, 'group')})")

    def _over_lists(self, write: Callable[[str, int], str]) -> str:
        return "+".join(write(name, groups) for name, groups in self._lists)

    def _criteria(self, start: str, name: str, groups: int, pairs: Mapping[str, str]) -> str:
        parts = (f"{self._cells(name, groups, column)},{text}" for column, text in pairs.items())
        return f"{start}{','.join(parts)})"

    def _cells(self, name: str, groups: int, column: str) -> str:
        letter = get_column_letter(self._columns[column])
        return f"'{name}'!${letter}$2:${letter}${max(groups, 1) + 1}"


def criterion_of(cell: str, text: str) -> str:
    """Write the criterion of cells that hold the text of another cell, as a formula.

    >>> criterion_of("A2", "挡风板")
    '"="&A2'
    """
    for character in _WILDCARDS:
        if character in text:
            cell = f'SUBSTITUTE({cell},"{character}","~{character}")'
    return f'"="&{cell}'


def list_figures(
    totals: MissionTotals, ranges: GroupRanges, mission: str, row: int, say: Speaker
) -> Iterator[Figure]:
    """List the figures of a mission, or of all: the first one stands in the row `row`.

    Shares refer to the counts above them, in the column of formulas.
    """
    counts = list(_list_counts(totals, ranges, mission, say))
    yield from counts
    rows = {figure.name: row + number for number, figure in enumerate(counts)}
    for name, share, count, total in _shares(totals):
        yield from _list_share(name, share, f"D{rows[count]}", f"D{rows[total]}")


def _list_counts(
    totals: MissionTotals, ranges: GroupRanges, mission: str, say: Speaker
) -> Iterator[Figure]:
    yield Figure("groups", totals.groups, ranges.count_all(mission))
    yield Figure("photos", totals.photos, ranges.add_up("photos", mission))
    for column, counts in (("final", totals.final), ("machine", totals.machine)):
        for verdict, name in zip(VERDICTS, ("pass", "fail", "undecided"), strict=True):
            formula = ranges.count({column: say.verdict(verdict)}, mission)
            yield Figure(f"{column}_{name}", counts[verdict], formula)
    decided = (ranges.count({"decision": choice}, mission) for choice in (PASS, FAIL, DEFERRED))
    yield Figure("decided", totals.decided, "+".join(decided))
    yield Figure(
        "overruled", totals.overruled, ranges.count({"overruled": say.words["yes"]}, mission)
    )
    for column, scores in (("label", totals.by_label), ("decision", totals.by_decision)):
        for truth, label in ((FAIL, "fail"), (PASS, "pass")):
            number = sum(count for (of, _), count in scores.confusion.items() if of == label)
            yield Figure(f"{column}_{label}", number, ranges.count({column: truth}, mission))
            wrong = PASS if truth == FAIL else FAIL
            yield Figure(
                f"{column}_{label}_wrong",
                scores.confusion[label, wrong],
                ranges.count({column: truth, "machine": wrong}, mission),
            )


def _shares(totals: MissionTotals) -> Iterator[tuple[str, Share, str, str]]:
    """Give the shares, each with the names of the counts that it is made of."""
    for column, scores in (("label", totals.by_label), ("decision", totals.by_decision)):
        yield f"{column}_false_pass", scores.false_pass, f"{column}_fail_wrong", f"{column}_fail"
        yield f"{column}_false_fail", scores.false_fail, f"{column}_pass_wrong", f"{column}_pass"


def _list_share(name: str, share: Share, count: str, total: str) -> Iterator[Figure]:
    """List a share and the ends of its interval by Wilson's formula."""
    low, high = share.interval(CONFIDENCE) if share.total else (None, None)
    p, z2 = f"{count}/{total}", f"{Z * Z:.15g}"
    middle = f"({p}+{z2}/(2*{total}))"
    half = f"{Z:.15g}*SQRT({p}*(1-{p})/{total}+{z2}/(4*{total}*{total}))"
    ends = {"low": f"MAX(0,({middle}-{half})/(1+{z2}/{total}))"}
    ends["high"] = f"MIN(1,({middle}+{half})/(1+{z2}/{total}))"
    yield Figure(name, share.value, _if_any(total, p), is_share=True)
    yield Figure(f"{name}_low", low, _if_any(total, ends["low"]), is_share=True)
    yield Figure(f"{name}_high", high, _if_any(total, ends["high"]), is_share=True)


def _if_any(total: str, formula: str) -> str:
    return f'IF({total}=0,"",{formula})'
