"""llama.cpp's own server: the answers of the local engine, held to the formats by GBNF."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from recipes.llama_cpp.convert import convert
from shenhe.checkpoints.merge import merge_adapters
from shenhe.config import load_formats, load_missions, load_prompts
from shenhe.config.vocabulary import load_vocabulary
from shenhe.engines.local.engine import LocalEngine
from shenhe.engines.server import ServerEngine
from shenhe.errors import EngineError
from shenhe.formats import grammars
from shenhe.formats.caption_grammar import of_caption
from shenhe.formats.gbnf import to_gbnf
from shenhe.messages import Answer, Grammar, Message, Request, RequestFailed
from shenhe.photos import PixelBudget
from shenhe.stages import caption, summary, verdict
from shenhe.values import FAIL, PASS
from tests.formats.gbnf_matcher import matches
from tests.servers.llama_cpp import MODEL, llama_cpp
from tests.servers.specs import server_engines
from tests.servers.starting import Served

MISSION = load_missions().get("挡风板安装检查")
PROMPTS = load_prompts()
LINES = {
    "图片_1": "BBU设备/华为/显示完整/无需安装×1",
    "图片_2": "螺丝/BBU安装螺丝/显示完整/符合要求×2",
}
Make = Callable[..., ServerEngine]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled checkpoint with its adapter, as GGUF."""
    path = tmp_path_factory.mktemp("gguf")
    merge_adapters("demo", ["demo"], path / "merged", dtype="float32")
    convert(str(path / "merged"), path, "f32")
    return path


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Served]:
    with llama_cpp(folder) as server:
        yield server


@pytest.fixture(scope="module")
def make() -> Iterator[Make]:
    with server_engines() as make_engine:
        yield make_engine


def _answers(engine: ServerEngine | LocalEngine, requests: list[Request]) -> dict[str, Answer]:
    results = {result.key: result for result in engine.answer(requests)}
    assert not [result for result in results.values() if isinstance(result, RequestFailed)]
    return {key: result for key, result in results.items() if isinstance(result, Answer)}


def test_it_answers_as_the_local_engine_does(
    make: Make, served: Served, engine: LocalEngine, demo_photos: list[Path]
) -> None:
    server = make(served.url, MODEL)
    assert (server.dialect.form, server.dialect.top_logprobs) == ("grammar", 20)
    assert server.budget is not None
    assert server.budget.bounds == PixelBudget(4096, 81_920)
    requests = [
        *(_line(photo, str(n)) for n, photo in enumerate(demo_photos[::9])),
        verdict.request("one", dict([*LINES.items()][:1]), MISSION, PROMPTS.verdict),
        verdict.request("both", LINES, MISSION, PROMPTS.verdict),
        caption.request("c", demo_photos[:1], PROMPTS.caption),
    ]
    expected, answers = _answers(engine, requests), _answers(server, requests)
    assert len(answers) == len(requests)
    for key, answer in answers.items():
        assert answer.text == expected[key].text
        assert answer.sizes == expected[key].sizes
        assert answer.finish_reason == "stop"
        assert _p_pass(answer) == pytest.approx(_p_pass(expected[key]), abs=1e-3)
    assert answers["both"].choice_logprobs.keys() == {PASS, FAIL}


def test_its_repetition_penalty_is_that_of_the_local_engine(
    make: Make, served: Served, engine: LocalEngine, demo_photos: list[Path]
) -> None:
    penalized = LocalEngine(replace(engine.spec, repetition_penalty=4.0))
    server = make(served.url, MODEL, repetition_penalty=4.0)
    requests = [
        *(_line(photo, str(n)) for n, photo in enumerate(demo_photos[:2])),
        verdict.request("both", LINES, MISSION, PROMPTS.verdict),
    ]
    expected, answers = _answers(penalized, requests), _answers(server, requests)
    for key, answer in answers.items():
        assert answer.text == expected[key].text
        assert _p_pass(answer) == pytest.approx(_p_pass(expected[key]), abs=1e-3)
    (plain,) = engine.answer(requests[:1])
    assert isinstance(plain, Answer)
    assert plain.text != answers["0"].text


def _p_pass(answer: Answer) -> float | None:
    if not answer.choice_logprobs:
        return None
    odds = {choice: math.exp(value) for choice, value in answer.choice_logprobs.items()}
    return odds[PASS] / (odds[PASS] + odds[FAIL])


def _grammars() -> Iterator[Grammar]:
    """Every grammar that an answer is held to here."""
    for name in ("plain", "keyed", "domain"):
        formats = load_formats(name)
        yield grammars.of_summary(formats.summary)
        yield grammars.of_verdict(formats.verdict)
    yield of_caption(1)
    yield of_caption(2, "pixel")
    yield of_caption(1, descs=load_vocabulary().patterns)


def test_wild_answers_keep_every_format(make: Make, served: Served) -> None:
    """Sampled at a temperature at which a model writes anything, whatever its prompt."""
    server = make(served.url, MODEL, temperature=3.0)
    kinds = {f"{n}": grammar for n, grammar in enumerate(_grammars())}
    requests = [
        Request(f"{key}/{seed}", (Message("user", ("1",)),), 60, grammar=grammar)
        for key, grammar in kinds.items()
        for seed in range(3)
    ]
    answers = _answers(server, requests)
    assert len({answer.text for answer in answers.values()}) > len(requests) // 2
    ended = 0
    for key, answer in answers.items():
        grammar = kinds[key.partition("/")[0]]
        # At the limit, a caption is closed; any other is only a beginning.
        if answer.finish_reason == "stop" or grammar.kind == "caption":
            assert matches(to_gbnf(grammar.lark), answer.text), answer.text
            ended += 1
    assert ended


def test_what_is_too_long_for_a_slot_fails_alone_and_says_what_to_do(
    folder: Path, make: Make, demo_photos: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    with llama_cpp(folder, "--context", "512", "--slots", "2") as server:
        engine = make(server.url, MODEL)
        long = Request("long", (Message("user", ("螺丝" * 1000,)),), 16)
        failed, line = sorted(
            engine.answer([long, _line(demo_photos[0], "a")]), key=lambda result: result.key == "a"
        )
        assert "room for 256 tokens a request" in caplog.text
        assert isinstance(failed, RequestFailed)
        assert (failed.code, "context size" in failed.message) == ("refused", True)
        assert isinstance(line, Answer)


def test_without_its_tower_it_takes_no_photos(
    folder: Path, make: Make, demo_photos: list[Path]
) -> None:
    with llama_cpp(folder, "--no-tower") as server:
        engine = make(server.url, MODEL)
        with pytest.raises(EngineError, match="takes no photos: start it with --mmproj"):
            list(engine.answer([_line(demo_photos[0], "a")]))
        request = verdict.request("v", LINES, MISSION, PROMPTS.verdict)
        assert _answers(engine, [request])["v"].text.startswith((PASS, FAIL))


def _line(photo: Path, key: str) -> Request:
    return summary.request(key, photo, MISSION, PROMPTS.summary, 64)
