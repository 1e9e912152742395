"""Which photos were used before, and what is told of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from shenhe.messages import PhotoFacts
from shenhe.photos.reuse import MAX_USES, PhotoOwner, PhotoRegister

MISSION = "挡风板安装检查"


def facts(content: int, look: int | None = None) -> PhotoFacts:
    """Facts of a photo by short names of its hashes."""
    return PhotoFacts(
        content_hash=f"{content:064x}"[::-1],
        perceptual_hash=None if look is None else f"{look:016x}",
    )


def owner(group_id: str, mission: str = MISSION, run: str = "") -> PhotoOwner:
    return PhotoOwner(run, mission, "pass", group_id)


GROUPS: dict[PhotoOwner, list[PhotoFacts | None]] = {
    owner("QC-1"): [facts(1, 0xF0F0F0F0F0F0), facts(2, 0xABCDEF)],
    owner("QC-2"): [facts(1, 0xF0F0F0F0F0F0), facts(3, 0)],
    owner("QC-3"): [facts(4, 0xABCDEF ^ 0b1111), facts(5, 0xABCDEF ^ 0b11111 << 40)],
    owner("QC-1", "BBU接地线检查"): [facts(2, 0xABCDEF)],
    owner("QC-4"): [facts(6), facts(7), None],
    owner("QC-5", run="week-46"): [facts(6), facts(8)],
}


@pytest.fixture
def register() -> Iterator[PhotoRegister]:
    with closing(PhotoRegister()) as opened:
        yield opened


def test_uses_elsewhere(register: PhotoRegister) -> None:
    for group, photos in GROUPS.items():
        register.add(group, photos)
    index = register.finish()
    assert register.without_facts == 1
    told = {
        group: [
            (use.photo, use.run or use.mission, use.group_id, use.same_content, use.same_order)
            for use in index.find(group, photos)
        ]
        for group, photos in GROUPS.items()
    }
    assert told[owner("QC-1")] == [
        ("图片_1", MISSION, "QC-2", True, False),
        ("图片_2", MISSION, "QC-3", False, False),
        ("图片_2", "BBU接地线检查", "QC-1", True, True),
    ]
    assert told[owner("QC-2")] == [("图片_1", MISSION, "QC-1", True, False)]
    assert {use[2] for use in told[owner("QC-3")]} == {"QC-1"}
    assert {use[0] for use in told[owner("QC-3")]} == {"图片_1"}
    assert told[owner("QC-4")] == [("图片_1", "week-46", "QC-5", True, False)]
    assert told[owner("QC-5", run="week-46")] == [("图片_1", MISSION, "QC-4", True, False)]


def test_a_photo_in_very_many_groups_names_a_few(register: PhotoRegister) -> None:
    for number in range(3000):
        register.add(owner(f"QC-{number}"), [facts(1, 77)] * 3)
    uses = register.finish().find(owner("QC-7"), [facts(1, 77), facts(9, 77)])
    assert [use.photo for use in uses] == ["图片_1"] * MAX_USES + ["图片_2"] * MAX_USES
    assert "QC-7" not in {use.group_id for use in uses}


def test_nothing_registered(register: PhotoRegister) -> None:
    index = register.finish()
    assert index.find(owner("QC-1"), [facts(1, 1), None, PhotoFacts()]) == []
