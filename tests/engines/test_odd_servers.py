"""Servers that answer oddly: each answer costs its question at most, and no secret gets out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shenhe.config import load_missions, load_prompts
from shenhe.engines.base import EngineSpec
from shenhe.engines.create import create_engine
from shenhe.engines.server import ServerEngine
from shenhe.records import Answer, Failed, Request
from shenhe.stages import summary, verdict
from tests.servers import odd
from tests.servers.starting import Served, scripted

MISSION = load_missions().get("挡风板安装检查")
PROMPTS = load_prompts()
Make = Callable[..., ServerEngine]


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with scripted("--form", "structured_outputs") as server:
        yield server


@pytest.fixture
def make(served: Served) -> Iterator[Make]:
    made: list[ServerEngine] = []

    def _make(model: str, url: str = served.url, **options: object) -> ServerEngine:
        spec = EngineSpec(model, engine="server", base_url=url, **options)  # type: ignore[arg-type]
        engine = create_engine(spec)
        assert isinstance(engine, ServerEngine)
        made.append(engine)
        return engine

    yield _make
    for engine in made:
        engine.close()


def _line(photo: Path) -> Request:
    return summary.request("k", photo, MISSION, PROMPTS.summary, 64)


def _verdict() -> Request:
    return verdict.request("k", {"图片_1": "螺丝"}, MISSION, PROMPTS.verdict, 64)


def _streamed(engine: ServerEngine) -> tuple[list[str], Answer]:
    stream, pieces = engine.stream(_verdict()), []
    while True:
        try:
            pieces.append(next(stream))
        except StopIteration as end:
            return pieces, end.value


@pytest.mark.parametrize("name", odd.FINE)
def test_what_nobody_needs_may_be_odd(
    name: str, make: Make, served: Served, demo_photos: list[Path]
) -> None:
    engine = make(name)
    before = served.get("counts")["asked"]
    (answer,) = engine.answer([_line(demo_photos[0])])
    assert isinstance(answer, Answer), answer
    assert answer.text.startswith("螺丝 ")
    assert 0 <= answer.prompt_tokens < 100
    assert served.get("counts")["asked"] == before + 1


@pytest.mark.parametrize("name", [*odd.LOST, *odd.AGAIN])
def test_an_answer_that_is_none_costs_its_question(
    name: str,
    make: Make,
    demo_photos: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("shenhe.engines.server.waiting.PAUSE_SECONDS", 0.001)
    (failed,) = make(name).answer([_line(demo_photos[0])])
    _, words = (odd.LOST | odd.AGAIN)[name]
    assert isinstance(failed, Failed), failed
    assert words in failed.message
    assert failed.message.isprintable()
    assert failed.code in ("bad_answer", "refused")
    assert words in caplog.text or failed.code == "refused"
