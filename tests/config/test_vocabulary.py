"""What models of several trainings write lies within the built-in vocabulary; nonsense does not."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from shenhe.config import load_vocabulary
from shenhe.formats.desc import category

ITEMS = [
    line
    for line in (Path(__file__).parent / "vocabulary_items.txt").read_text("utf-8").splitlines()
    if not line.startswith("#")
]


def _fits(desc: str) -> bool:
    return any(re.fullmatch(pattern, desc) for pattern in load_vocabulary().patterns)


def test_items_of_every_category_fit() -> None:
    outside = [item for item in ITEMS if not _fits(item)]
    assert len(ITEMS) >= 100
    assert len(outside) <= 0.03 * len(ITEMS), outside
    counts = Counter(category(item) for item in ITEMS)
    assert {"BBU设备", "挡风板", "螺丝、光纤插头", "标签", "光纤", "电线"} <= counts.keys()


@pytest.mark.parametrize(
    "nonsense",
    [
        "",
        "备",
        "风扇",
        "BBU设备/其他",
        "BBU设备/华为/华为",
        "BBU设备/安装方向正确",
        "BBU设备/符合要求",
        "挡风板/符合要求",
        "挡风板/无需安装",
        "螺丝、光纤插头/地排处",
        "螺丝、光纤插头/BBU安装螺丝/符合要求/未拧紧",
        "螺丝、光纤插头/BBU安装螺丝/未拧紧",
        "螺丝钉/BBU安装螺丝/符合要求",
        "光纤/有保护措施/无保护措施",
        "光纤/捆扎整齐",
        "光纤插头/符合要求",
        "电线/乱",
        "电线/有保护措施",
        "BBU设备/华为/显示完整，螺丝、光纤插头/BBU安装螺丝/符合要求",
        "显示完整/BBU设备",
        "无关图片",
    ],
)
def test_nonsense_does_not_fit(nonsense: str) -> None:
    assert not _fits(nonsense)
