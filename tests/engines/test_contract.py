"""What holds for every engine; a new engine is added to the list."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shenhe.config import load_missions, load_prompts
from shenhe.engines.base import Engine, EngineSpec
from shenhe.engines.options import ServerOptions
from shenhe.engines.server import ServerEngine
from shenhe.messages import Answer, Request, RequestFailed
from shenhe.stages import summary
from tests.scripted import ScriptedEngine
from tests.servers.starting import scripted

MISSION = load_missions().get("挡风板安装检查")


@pytest.fixture(params=["local", "scripted", "server"])
def any_engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    if request.param == "local":
        yield request.getfixturevalue("engine")
    elif request.param == "scripted":
        yield ScriptedEngine(lambda asked: "无关图片")
    else:
        with scripted() as served:
            engine = ServerEngine(
                EngineSpec(model="scripted", engine=ServerOptions(base_url=served.url))
            )
            yield engine
            engine.close()


def _request(key: str, photo: Path) -> Request:
    return summary.request(key, photo, MISSION, load_prompts().summary, 64)


def test_every_request_is_answered_once_by_its_key(
    any_engine: Engine, demo_photos: list[Path]
) -> None:
    requests = [_request(f"k{i}", photo) for i, photo in enumerate(demo_photos[:7])]
    answers = list(any_engine.answer(iter(requests)))
    assert sorted(answer.key for answer in answers) == [f"k{i}" for i in range(7)]
    assert all(isinstance(answer, Answer) and answer.text for answer in answers)


def test_requests_are_taken_as_they_are_needed(any_engine: Engine, demo_photos: list[Path]) -> None:
    taken = 0

    def endless() -> Iterator[Request]:
        nonlocal taken
        while True:
            taken += 1
            yield _request(str(taken), demo_photos[0])

    answers = any_engine.answer(endless())
    first = next(answers)
    assert isinstance(first, Answer | RequestFailed)
    assert taken <= 32


def test_attempts_come_back(any_engine: Engine, demo_photos: list[Path]) -> None:
    asked = Request("a", _request("a", demo_photos[0]).messages, 64, attempt=2)
    (answer,) = any_engine.answer([asked])
    assert answer.attempt == 2


def test_no_requests_no_answers(any_engine: Engine) -> None:
    assert list(any_engine.answer([])) == []


def test_fingerprint(any_engine: Engine) -> None:
    assert any_engine.fingerprint
