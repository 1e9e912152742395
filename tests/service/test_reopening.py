"""A verdict that was given before another group came with the same photo is given anew, once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest

from shenhe.messages import Request
from shenhe.runs import VerdictPolicy
from shenhe.service.jobs import Job, NewJob
from shenhe.service.judging import GroupJudge
from shenhe.service.photo_reuse import PhotosOfJobs
from shenhe.service.reopening import Reopening
from shenhe.service.store import Claimed, JobStore
from shenhe.service.watched_groups import new_job_of
from shenhe.values import Group
from tests.photos.test_facts import scene
from tests.runs.test_photo_facts import OpeningEngine
from tests.service.conftest import Open
from tests.service.ended_jobs import MISSION, RULES


class Site:
    """Processes that work the jobs of one service, which holds back who uses a photo again."""

    def __init__(self, stores: Sequence[JobStore], folder: Path, stack: ExitStack) -> None:
        self.stores, self.folder = stores, folder
        rules = replace(RULES, policy=VerdictPolicy(reused="undecided", evidence=False))
        photos = [stack.enter_context(closing(PhotosOfJobs(s.database))) for s in stores]
        self.judges = [GroupJudge(rules, "scripted", folder, each) for each in photos]
        self.reopenings = [Reopening(*pair) for pair in zip(stores, photos, strict=True)]

    def new(self, group_id: str, *photos: str) -> NewJob:
        """Make a job; a photo is the number of its scene, `1~` one that only looks like 1."""
        folder = self.folder / f"{group_id}-{''.join(photos)}"
        folder.mkdir(exist_ok=True)
        for name in photos:
            quality = 60 if name.endswith("~") else 92
            path = folder / f"{name}.jpg"
            scene(int(name.strip("~")), (320, 256)).save(path, quality=quality)
        return new_job_of(
            Group(group_id, MISSION, None, tuple(sorted(folder.iterdir()))), "interactive"
        )

    def hand_in(self, group_id: str, *photos: str) -> Job:
        return self.stores[0].submit(self.new(group_id, *photos))[0]

    def begin(self, process: int = 0) -> list[Claimed]:
        claims = list(self.stores[process].claim(f"process {process}", 9))
        for claimed in claims:
            self.reopenings[process].reopen_users(claimed.job)
        return claims

    def end(self, claims: Sequence[Claimed], process: int = 0) -> None:
        for claimed in claims:
            result = self.judges[process].judge(claimed.job, OpeningEngine(_pass))
            assert self.stores[process].finish(claimed, result)

    def work(self, process: int = 0) -> int:
        """Work until there is nothing to do; give the number of jobs."""
        count = 0
        while claims := self.begin(process):
            self.end(claims, process)
            count += len(claims)
        return count

    def outcomes(self, *groups: str) -> dict[str, tuple[int, str]]:
        """Give the current version of groups, and what became of it."""
        found = {}
        for group_id in groups:
            job = self.stores[0].latest(MISSION, group_id)
            assert job
            verdict = job.result.verdict if job.result else None
            codes = ",".join(verdict.meta.why) if verdict else job.state
            found[group_id] = (job.version, codes or "通过")
        return found


def _pass(request: Request) -> str:
    return "通过\n理由: 图片_1" if request.choices else "接地线/安装符合要求"


HELD = "reused_photo"


@pytest.fixture
def site(open_jobs: Open, tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site([open_jobs(), open_jobs()], tmp_path, stack)


@pytest.mark.parametrize("photo", ["1", "1~"])
def test_the_earlier_group_is_judged_anew_once(site: Site, photo: str) -> None:
    first = site.hand_in("A", "1", "5")
    site.hand_in("B", "2")
    assert site.work() == 2
    assert site.outcomes("A", "B") == {"A": (1, "通过"), "B": (1, "通过")}
    site.hand_in("C", photo)
    assert site.work() == 2
    assert site.outcomes("A", "B", "C") == {"A": (2, HELD), "B": (1, "通过"), "C": (1, HELD)}
    site.hand_in("D", "1")
    assert site.work() == 1
    assert site.outcomes("A", "C", "D") == {"A": (2, HELD), "C": (1, HELD), "D": (1, HELD)}
    # The same photos are the same job: its current version, not the verdict that no longer holds.
    again, is_new = site.stores[1].submit(site.new("A", "1", "5"))
    assert (again.version, is_new, again.id != first.id) == (2, False, True)
    assert site.work() == 0


def test_whoever_works_at_the_same_time_reopens_once(site: Site) -> None:
    """The first is under way while the others come, in two processes."""
    site.hand_in("A", "1")
    under_way = site.begin(0)
    result = site.judges[0].judge(under_way[0].job, OpeningEngine(_pass))
    site.hand_in("B", "1")
    site.hand_in("C", "1")
    others = site.begin(1)
    assert site.stores[0].finish(under_way[0], result)
    assert site.outcomes("A") == {"A": (2, "queued")}
    site.end(others, 1)
    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(site.work, range(2))) == 1
    assert site.outcomes("A", "B", "C") == {"A": (2, HELD), "B": (1, HELD), "C": (1, HELD)}


def test_two_that_are_always_under_way_together_do_not_reopen_each_other_for_ever(
    site: Site,
) -> None:
    site.hand_in("A", "1")
    site.hand_in("B", "1")
    rounds, claims = 0, site.begin(0)
    while claims:
        more = site.begin(1)  # before those of the other process have ended
        site.end(claims, 0)
        claims, rounds = more, rounds + 1
        assert rounds < 5
    site.work()
    versions = {name: version for name, (version, _) in site.outcomes("A", "B").items()}
    assert max(versions.values()) <= 2
    assert {codes for _, codes in site.outcomes("A", "B").values()} == {HELD}


def test_a_later_group_that_takes_another_photo_counts_as_well(site: Site) -> None:
    site.hand_in("A", "1")
    site.work()
    site.hand_in("B", "1")
    site.hand_in("B", "2")
    site.work()
    assert site.outcomes("A", "B") == {"A": (2, HELD), "B": (2, "通过")}


def test_the_same_order_in_another_mission_reopens_nothing(site: Site) -> None:
    site.hand_in("A", "1")
    site.work()
    site.stores[0].submit(replace(site.new("A", "1"), mission="BBU线缆布放要求"))
    site.stores[0].submit(replace(site.new("A", "1", "3")))  # its own next version
    site.work()
    assert site.outcomes("A") == {"A": (2, "通过")}
