"""Figures of a team as cells: nothing that is not known, nothing that a spreadsheet computes."""

from __future__ import annotations

import io

from openpyxl import load_workbook

from shenhe.review.figures import AGREEMENT_COLUMNS, agreement_cells, list_agreement, make_sheet
from shenhe.team.agreement import Pair


def test_what_is_not_known_is_empty() -> None:
    for pairs in ([], [Pair("m", "李工", "王工", "通过", "待定")]):
        (whole, *_) = agreement_cells(list_agreement(pairs))
        assert whole == ["all", "", "0", "0", *[""] * 5, str(len(pairs))]


def test_numbers_below_zero_stay_numbers_and_names_stay_names() -> None:
    pairs = [Pair("＝m", "=a", "@b", *both) for both in (("通过", "不通过"), ("不通过", "通过"))]
    rows = agreement_cells(list_agreement(pairs))
    content = make_sheet(AGREEMENT_COLUMNS, rows, is_workbook=True).content
    (_, whole, mission, people) = load_workbook(io.BytesIO(content)).active.values
    assert whole[6] == "-1.0000"
    assert (mission[1], people[1]) == ("'＝m", "'=a / @b")
    text = make_sheet(AGREEMENT_COLUMNS, rows, is_workbook=False).content.decode("utf-8-sig")
    assert ",-1.0000," in text
    assert ",'=a / @b," in text
