"""People decide on the groups of a service while it goes on writing their rows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from shenhe.config import load_missions, load_prompts
from shenhe.review import Index, Prompting, Review, create_app
from shenhe.review.index import Filters
from shenhe.rows.decisions import Decisions
from shenhe.service.rows import RowsFollower
from shenhe.service.store import JobStore, open_store
from tests.service.ended_jobs import EndedJobs

HERE = "http://127.0.0.1:8765"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    store = open_store(tmp_path / "data")
    yield store
    store.close()


def test_decisions_and_new_rows_do_not_disturb_each_other(store: JobStore, tmp_path: Path) -> None:
    data, ended = tmp_path / "data", EndedJobs(store, tmp_path)
    for number in range(4):
        ended.end(f"QC-{number}", "good")
    follower = RowsFollower(store, data, lambda: ended.judge)
    follower.start()
    _until(lambda: len(list((data / "stage_b").glob("*检查.jsonl"))) == 1)
    index = Index(data)
    app = create_app(
        Review("live", index, Prompting(load_missions(), load_prompts())), None, "李工"
    )
    over = threading.Event()

    def go_on() -> None:
        number = 4
        while not over.wait(0.1):
            ended.end(f"QC-{number}", "good")
            number += 1

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        with TestClient(app, HERE, headers={"Origin": HERE}) as client:
            decided = set()
            for entry in index.page(Filters())[:3]:
                group = index.group(entry.number)
                assert group
                form = {
                    "key": entry.key,
                    "version": "0",
                    "seen": group.verdict.timestamp,
                    "choice": "不通过",
                }
                headers = {"Accept": "application/json"}
                assert (
                    client.post(f"/group/{entry.number}", data=form, headers=headers).status_code
                    == 200
                )
                decided.add(entry.key)
        (rows,) = (data / "stage_b").glob("*检查.jsonl")
        _until(lambda: rows.read_bytes().count(b"\n") > 4)
    finally:
        over.set()
        thread.join()
        follower.stop()
    assert {decision.key for decision in Decisions(data).trail()} == decided
    assert len(index.page(Filters())) == 4  # those of the moment when it was opened
    later = {entry.key: entry.choice for entry in Index(data).page(Filters())}
    assert len(later) > 4
    assert {key for key, choice in later.items() if choice == "不通过"} == decided


def _until(condition: Callable[[], Any], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
