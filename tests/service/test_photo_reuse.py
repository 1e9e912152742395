"""Photos that other groups have too, as jobs come."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from shenhe.messages import PhotoFacts, Request
from shenhe.photos.reuse import PhotoOwner
from shenhe.runs import VerdictPolicy
from shenhe.service.jobs import NewJob, StoredPhoto
from shenhe.service.judging import GroupJudge
from shenhe.service.photo_reuse import PhotosOfJobs
from shenhe.service.store import JobStore, open_store
from shenhe.service.watched_groups import new_job_of
from shenhe.values import Group
from tests.photos.test_facts import scene
from tests.runs.test_photo_facts import OpeningEngine
from tests.service.ended_jobs import MISSION, RULES


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    store = open_store(tmp_path / "data")
    yield store
    store.close()


def _hand_in(store: JobStore, group_id: str, *photos: tuple[str, str], version: str = "") -> None:
    stored = tuple(
        StoredPhoto(
            Path(f"/{group_id}/{index}.jpg"),
            f"{index}.jpg",
            64 * content,
            1,
            PhotoFacts(content_hash=64 * content, perceptual_hash=look),
        )
        for index, (content, look) in enumerate(photos)
    )
    store.submit(NewJob(MISSION, group_id, stored, f"{photos}{version}"))


def _facts(content: str, look: str) -> PhotoFacts:
    return PhotoFacts(content_hash=64 * content, perceptual_hash=look)


FAR, NEAR = "00000000ffffffff", "00000000fffffff0"


@pytest.mark.parametrize("max_recent", [0, 1000])
def test_photos_are_found_as_they_come(store: JobStore, max_recent: int) -> None:
    with closing(PhotosOfJobs(store.database, max_recent=max_recent)) as photos:
        owner = PhotoOwner("", MISSION, "", "QC-2")
        asked = [_facts("a", "0" * 16), _facts("b", FAR)]
        assert photos.find(owner, asked) == []
        _hand_in(store, "QC-1", ("a", "f" * 16))
        _hand_in(store, "QC-2", ("a", "0" * 16), ("b", FAR))
        uses = photos.find(owner, asked)
        assert [(use.photo, use.group_id, use.same_content) for use in uses] == [
            ("图片_1", "QC-1", True)
        ]
        _hand_in(store, "QC-3", ("c", NEAR))
        _hand_in(store, "QC-1", ("d", FAR))
        uses = photos.find(owner, asked)
        assert {(use.photo, use.group_id, use.same_content) for use in uses} == {
            ("图片_1", "QC-1", True),
            ("图片_2", "QC-3", False),
            ("图片_2", "QC-1", False),
        }
        assert photos.find(owner, []) == photos.find(owner, [None, PhotoFacts()]) == []


def test_a_group_whose_photo_another_one_had_before_is_undecided(
    store: JobStore, tmp_path: Path
) -> None:
    rules = replace(RULES, policy=VerdictPolicy(reused="undecided", evidence=False))
    with closing(PhotosOfJobs(store.database)) as photos:
        judge = GroupJudge(rules, "scripted", tmp_path, photos)
        outcomes = {}
        for group_id, seed, quality in (("1", 1, 92), ("2", 2, 92), ("3", 1, 92), ("4", 1, 60)):
            folder = tmp_path / group_id
            folder.mkdir()
            scene(seed, (320, 256)).save(folder / "1.jpg", quality=quality)
            store.submit(new_job_of(Group(group_id, MISSION, None, (folder / "1.jpg",)), "bulk"))
            (claimed,) = store.claim("tests", 1)
            verdict = judge.judge(claimed.job, OpeningEngine(_answer)).verdict
            outcomes[group_id] = verdict.meta.why
    held = ["reused_photo"]
    assert outcomes == {"1": [], "2": [], "3": held, "4": held}
    assert "也在 1" in verdict.reason or "几乎同于 1" in verdict.reason


def _answer(request: Request) -> str:
    return "通过\n理由: 图片_1" if request.choices else "接地线/安装符合要求"
