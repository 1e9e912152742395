"""Formulas of a workbook, evaluated from the cells of its lists alone."""

from __future__ import annotations

import math
import re
from typing import Any

from openpyxl import Workbook
from openpyxl.worksheet.worksheet import Worksheet

_RANGE = re.compile(r"'([^']+)'!\$([A-Z]+)\$(\d+):\$[A-Z]+\$(\d+)")
_CELL = re.compile(r"\$?([A-Z]+)\$?(\d+)")


def recompute(book: Workbook, name: str) -> dict[tuple[str, str], Any]:
    """Evaluate column D of a sheet; give the results by the texts of columns A and B."""
    sheet = book[name]
    return {
        (sheet[f"A{row}"].value, sheet[f"B{row}"].value): _evaluate(book, sheet, f"D{row}")
        for row in range(2, sheet.max_row + 1)
    }


def _evaluate(book: Workbook, sheet: Worksheet, cell: str) -> Any:
    """Evaluate a cell as spreadsheets do: a formula by its text, another one by its value."""
    value = sheet[cell].value
    if not isinstance(value, str) or not value.startswith("="):
        return value
    ranges: list[list[Any]] = []

    def keep(match: re.Match[str]) -> str:
        title, column, first, last = match.groups()
        cells = book[title][f"{column}{first}:{column}{last}"]
        ranges.append([each[0].value for each in cells])
        return f"RANGE[{len(ranges) - 1}]"

    formula = _RANGE.sub(keep, value[1:])
    texts: list[str] = []

    def put_aside(match: re.Match[str]) -> str:
        texts.append(match[1])
        return f"TEXT[{len(texts) - 1}]"

    formula = re.sub(r'"([^"]*)"', put_aside, formula)
    formula = _CELL.sub(lambda match: f"CELL('{match[1]}{match[2]}')", formula)
    formula = formula.replace("&", "+").replace("=", "==")
    names = {
        "RANGE": ranges,
        "TEXT": texts,
        "CELL": lambda name: _evaluate(book, sheet, name),
        "COUNTIFS": _countifs,
        "SUMIFS": lambda values, *pairs: sum(
            value or 0 for value, hit in zip(values, _hits(*pairs), strict=True) if hit
        ),
        "SUM": lambda values: sum(value or 0 for value in values),
        "ROWS": len,
        "SUBSTITUTE": lambda text, old, new: text.replace(old, new),
        "SQRT": math.sqrt,
        "MAX": max,
        "MIN": min,
        "IF": lambda condition, first, second: first if condition else second(),
    }
    # The last part of IF is not evaluated where its condition holds: it would divide by zero.
    formula = re.sub(r"^IF\((.*?),(TEXT\[\d+\]),(.*)\)$", r"IF(\1,\2,lambda: \3)", formula)
    return eval(formula, names | {"__builtins__": {}})


def _countifs(*pairs: Any) -> int:
    return sum(_hits(*pairs))


def _hits(*pairs: Any) -> list[bool]:
    ranges, criteria = pairs[::2], pairs[1::2]
    return [
        all(_matches(value, criterion) for value, criterion in zip(row, criteria, strict=True))
        for row in zip(*ranges, strict=True)
    ]


def _matches(value: Any, criterion: str) -> bool:
    """Compare as COUNTIFS does: `=` before a text, ~ before a wildcard that is none."""
    pattern = ""
    characters = iter(criterion.removeprefix("="))
    for character in characters:
        if character == "~":
            pattern += re.escape(next(characters))
        else:
            pattern += {"*": ".*", "?": "."}.get(character, re.escape(character))
    return isinstance(value, str) and re.fullmatch(pattern, value, re.IGNORECASE) is not None
