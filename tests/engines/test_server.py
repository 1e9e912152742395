"""The server engine: what is sent, what is received, and how failures are handled."""

from __future__ import annotations

import base64
import io
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest
from PIL import Image

import shenhe
from shenhe import photos
from shenhe.config import load_missions, load_prompts
from shenhe.engines.base import EngineSpec
from shenhe.engines.create import create_engine
from shenhe.engines.options import ServerOptions
from shenhe.engines.server import ServerEngine
from shenhe.engines.server.codec import choice_logprobs, shared_opening
from shenhe.engines.server.completions import read_completion
from shenhe.errors import EngineError, UsageError
from shenhe.messages import Answer, Grammar, Request, RequestFailed
from shenhe.photos import PixelBudget
from shenhe.stages import caption, summary, verdict
from shenhe.values import FAIL, PASS
from tests.servers.specs import server_engines
from tests.servers.starting import Served, scripted

MISSION = load_missions().get("挡风板安装检查")
PROMPTS = load_prompts()


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with scripted() as server:
        yield server


@pytest.fixture(scope="module")
def constraining() -> Iterator[Served]:
    """A server that constrains answers, as vLLM does."""
    with scripted("--form", "structured_outputs") as server:
        yield server


@pytest.fixture
def make(request: pytest.FixtureRequest) -> Iterator[Callable[..., ServerEngine]]:
    with server_engines() as make_engine:

        def _make(server: Served, model: str = "scripted", **options: object) -> ServerEngine:
            return make_engine(server.url, model, **options)

        yield _make


Make = Callable[..., ServerEngine]


def _line(photo: Path, key: str = "k") -> Request:
    return summary.request(key, photo, MISSION, PROMPTS.summary, 64)


def test_the_dialect_of_a_server_is_probed(
    make: Make, served: Served, constraining: Served
) -> None:
    plain, rich = make(served).dialect, make(constraining).dialect
    assert (plain.extras, plain.form, plain.top_logprobs) == (False, None, 0)
    assert (rich.extras, rich.form, rich.top_logprobs) == (True, "structured_outputs", 20)
    assert make(constraining, constrain=False).dialect.form is None
    for form in ("guided_regex", "regex", "grammar"):
        with scripted("--form", form) as server:
            assert make(server).dialect.form == form


def test_a_grammar_that_never_ends_is_not_used(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    with scripted("--form", "grammar", "--behind", " " * 10) as server:
        assert make(server).dialect.form is None
    (record,) = caplog.records
    assert "does not end it where the grammar ends: 'ok7ok7   " in record.message


def test_llama_cpp_is_sent_its_own_grammar_and_sampling(make: Make) -> None:
    with scripted("--form", "grammar", "--owner", "llamacpp") as server:
        request = verdict.request("k", {"图片_1": "螺丝"}, MISSION, PROMPTS.verdict, 64)
        list(make(server).answer([request]))
        sent = server.get("last")
    assert sent["grammar"].startswith('root ::= ("通过" | "不通过") "\\n理由: " REASON "\\n"?')
    assert (sent["repeat_penalty"], sent["top_k"], sent["min_p"]) == (1.0, 0, 0.0)


def test_the_server_gets_the_pixels_of_the_model(
    make: Make, constraining: Served, demo_photos: list[Path]
) -> None:
    engine = make(constraining, max_pixels=65_536)
    (answer,) = engine.answer([_line(demo_photos[0])])
    sent = constraining.get("last")
    assert sent["skip_special_tokens"] is False
    assert sent["temperature"] == 0
    (url,) = (
        part["image_url"]["url"]
        for message in sent["messages"]
        for part in message["content"]
        if isinstance(part, dict) and part["type"] == "image_url"
    )
    head, _, data = url.partition(",")
    assert head == "data:image/bmp;base64"
    sent_photo = Image.open(io.BytesIO(base64.b64decode(data)))
    budget = PixelBudget(65_536, 65_536)
    assert sent_photo.tobytes() == photos.load(demo_photos[0], budget).image.tobytes()
    assert isinstance(answer, Answer)
    assert answer.sizes[0].resized_wh == sent_photo.size
    assert re.fullmatch(sent["structured_outputs"]["regex"], answer.text)


def test_a_grammar_that_llama_cpp_cannot_hold_stops_the_run(make: Make) -> None:
    request = verdict.request("k", {"图片_1": "螺丝"}, MISSION, PROMPTS.verdict, 64)
    grammar = Grammar("verdict", "start: /(?!a)b/\n", "(?!a)b")
    with scripted("--form", "grammar") as server, pytest.raises(UsageError) as caught:
        list(make(server).answer([replace(request, grammar=grammar)]))
    assert str(caught.value) == (
        "llama.cpp's grammars cannot say this: a group of this kind, in '(?!a)b';"
        " --no-constrain goes without"
    )


def test_photos_may_travel_as_png(make: Make, served: Served, demo_photos: list[Path]) -> None:
    list(make(served, photo_packing="png").answer([_line(demo_photos[0])]))
    content = served.get("last")["messages"][-1]["content"]
    (url,) = (part["image_url"]["url"] for part in content if part["type"] == "image_url")
    assert url.startswith("data:image/png;base64,")
    sent_photo = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    assert sent_photo.tobytes() == photos.load(demo_photos[0], PixelBudget()).image.tobytes()


def test_photos_by_their_paths(make: Make, served: Served, tmp_path: Path) -> None:
    engine = make(served, local_media=True)
    as_it_is, large, turned = (tmp_path / name for name in ("一 张.png", "large.png", "turned.jpg"))
    Image.new("RGB", (256, 320)).save(as_it_is)
    Image.new("RGB", (3000, 2000)).save(large)
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (320, 256)).save(turned, exif=exif)
    sent = []
    for path in (as_it_is, large, turned):
        list(engine.answer([_line(path)]))
        content = served.get("last")["messages"][-1]["content"]
        sent += [p["image_url"]["url"][:10] for p in content if p["type"] == "image_url"]
    assert sent == ["file:///" + as_it_is.as_uri()[8:10], "data:image", "data:image"]


def test_the_log_probabilities_of_a_verdict(
    make: Make, constraining: Served, served: Served
) -> None:
    request = verdict.request("k", {"图片_1": "螺丝"}, MISSION, PROMPTS.verdict, 64)
    (answer,) = make(constraining).answer([request])
    assert isinstance(answer, Answer)
    # 不通过 is not among the likeliest: at most as likely as the last of them.
    assert answer.choice_logprobs == {PASS: -0.1, FAIL: -2.1}
    (blind,) = make(served).answer([request])
    assert isinstance(blind, Answer)
    assert blind.choice_logprobs == {}


def test_the_log_probabilities_behind_a_mark() -> None:
    choices = ("Verdict: 通过", "Verdict: 不通过")
    opening = shared_opening(choices)

    def body(*tokens: str) -> dict[str, object]:
        top = {"通过": -0.2, " ": -1.5, "不": -2.0, "Ver": -4.0}
        candidates = [
            {"token": text, "logprob": logprob, "bytes": list(text.encode())}
            for text, logprob in top.items()
        ]
        content = [
            {"token": text, "bytes": list(text.encode()), "top_logprobs": candidates if at else []}
            for at, text in enumerate(tokens)
        ]
        message = {"role": "assistant", "content": "".join(tokens)}
        choice = {"message": message, "finish_reason": "stop", "logprobs": {"content": content}}
        return {"choices": [choice]}

    for tokens in (("Ver", "dict: ", "通过", "\nReason"), ("Verdict: ", "不", "通过")):
        completion = read_completion(body(*tokens), opening)
        assert completion.top_tokens_start == len(opening)
        scores = choice_logprobs(choices, completion.top_tokens, completion.top_tokens_start)
        assert scores == {choices[0]: -0.2, choices[1]: -2.0}
    # An answer of another opening tells nothing of the choices.
    other = read_completion(body("通过", "\n"), opening)
    assert choice_logprobs(choices, other.top_tokens, other.top_tokens_start) == {}


def test_a_token_that_starts_two_choices_is_ignored() -> None:
    likely = [(b"", -0.1), (b"x", -2.0)]
    assert choice_logprobs((PASS, FAIL), likely) == {}
    half = [("不".encode()[:2], -0.5), *likely]
    assert choice_logprobs((PASS, FAIL), half) == {PASS: -2.0, FAIL: -0.5}


def test_an_answer_at_its_limit_is_closed_where_it_was_held(
    make: Make, constraining: Served, served: Served, demo_photos: list[Path]
) -> None:
    request = caption.request("k", demo_photos[:1], PROMPTS.caption, 7)
    (closed,) = make(constraining).answer([request])
    (free,) = make(served).answer([request])
    assert isinstance(closed, Answer)
    assert isinstance(free, Answer)
    assert (closed.finish_reason, closed.text) == ("length", '{"图片_1": {}}')
    assert free.text.startswith("BBU设备")


def test_streamed_pieces_join_to_the_answer(make: Make, served: Served) -> None:
    request = verdict.request("k", {"图片_1": "螺丝"}, MISSION, PROMPTS.verdict, 64)
    engine = make(served)
    stream, pieces = engine.stream(request), []
    while True:
        try:
            pieces.append(next(stream))
        except StopIteration as end:
            answer = end.value
            break
    assert len(pieces) > 5
    assert "".join(pieces) == answer.text
    (whole,) = engine.answer([request])
    assert isinstance(whole, Answer)
    assert whole.text == answer.text


def test_sampling_has_a_seed_of_its_own(make: Make, served: Served) -> None:
    engine = make(served, temperature=0.5, top_p=0.9, seed=3)
    seeds = []
    for key in ("a", "b", "a"):
        request = verdict.request(key, {"图片_1": "螺丝"}, MISSION, PROMPTS.verdict, 64)
        list(engine.answer([request]))
        sent = served.get("last")
        assert (sent["temperature"], sent["top_p"]) == (0.5, 0.9)
        seeds.append(sent["seed"])
    assert seeds[0] == seeds[2] != seeds[1]


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refusal_is_not_retried(status: int, make: Make, demo_photos: list[Path]) -> None:
    with scripted("--status", str(status)) as server:
        engine = make(server)
        before = server.get("counts")["asked"]
        (failed,) = engine.answer([_line(demo_photos[0])])
        assert failed == RequestFailed("k", "refused", f"status {status}: told to")
        assert server.get("counts")["asked"] == before + 1


def test_a_server_that_fails_at_everything_is_given_up(make: Make, demo_photos: list[Path]) -> None:
    with scripted("--status", "500") as server:
        engine = make(server)
        requests = [_line(photo, str(n)) for n, photo in enumerate(demo_photos[:8])]
        with pytest.raises(EngineError, match=r"failed 16 times in a row: status 500: told to"):
            list(engine.answer(requests))


def test_an_unreadable_photo_fails_alone(
    make: Make, served: Served, tmp_path: Path, demo_photos: list[Path]
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"nothing")
    results = {a.key: a for a in make(served).answer([_line(bad, "a"), _line(demo_photos[0], "b")])}
    assert isinstance(results["a"], RequestFailed)
    assert results["a"].code == "not_a_photo"
    assert isinstance(results["b"], Answer)


def test_every_fault_passes(make: Make, demo_photos: list[Path]) -> None:
    with scripted("--faults", "0.4", "--stall", "1") as server:
        engine = make(server, request_timeout=0.5)
        requests = [_line(demo_photos[n % 20], str(n)) for n in range(150)]
        results = {answer.key: answer for answer in engine.answer(requests)}
        counts = server.get("counts")
    with scripted() as quiet:
        expected = {answer.key: answer for answer in make(quiet).answer(requests)}
    assert results == expected
    assert {"429", "500", "reset", "stall", "truncated", "not_json", "no_choices"} <= counts.keys()


def test_concurrency_grows_while_all_is_well(make: Make, demo_photos: list[Path]) -> None:
    with scripted("--delay", "0.1") as server:
        requests = [_line(demo_photos[0], str(n)) for n in range(200)]
        list(make(server).answer(requests))
        assert 32 <= server.get("counts")["most"] <= 64
    with scripted("--delay", "0.02") as server:
        list(make(server, batch_size=3).answer(requests[:40]))
        assert server.get("counts")["most"] == 3


def test_a_server_that_is_gone_is_waited_for(
    make: Make, demo_photos: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    requests = [_line(demo_photos[0], str(n)) for n in range(200)]
    with scripted("--delay", "0.05") as server:
        engine = make(server, batch_size=4)
        answers = engine.answer(iter(requests))
        results = [next(answers)]
    restarted: list[object] = []

    def come_back() -> None:
        time.sleep(1.5)
        with scripted("--port", str(server.port)) as second:
            restarted.append(second)
            while len(results) < len(requests):
                time.sleep(0.05)

    thread = Thread(target=come_back)
    thread.start()
    results += answers
    thread.join()
    assert sorted(int(a.key) for a in results) == list(range(200))
    assert all(isinstance(a, Answer) for a in results)
    assert "is gone" in caplog.text
    assert "is back after" in caplog.text


def test_a_restarted_server_gives_the_same_answers(make: Make, demo_photos: list[Path]) -> None:
    requests = [_line(demo_photos[n % 9], str(n)) for n in range(100)]
    with scripted() as server:
        engine = make(server)
        first = list(engine.answer(requests))
    with scripted("--port", str(server.port)):
        second = list(engine.answer(requests))
    assert len(first) == len(second) == 100
    assert {a.key: a for a in second} == {a.key: a for a in first}


def test_patience_ends(make: Make, demo_photos: list[Path]) -> None:
    with scripted() as server:
        engine = make(server, server_patience=0.5)
    with pytest.raises(EngineError, match=r"gone for .* the same command again"):
        list(engine.answer([_line(demo_photos[0])]))


def test_the_key_comes_from_the_environment(
    make: Make, monkeypatch: pytest.MonkeyPatch, demo_photos: list[Path]
) -> None:
    with scripted("--key", "s3cret") as server:
        with pytest.raises(EngineError, match="bad key"):
            make(server)
        monkeypatch.setenv("SHENHE_API_KEY", "s3cret")
        assert list(make(server).answer([_line(demo_photos[0])]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base_url": None}, "--base-url"),
        ({"base_url": "ftp://x"}, "must begin with http"),
        ({"quantize": "int8"}, "--quantize: is the server's"),
        ({"dtype": "float32"}, "--dtype: is the server's"),
        ({"adapters": ("a", "b")}, "one at a time"),
        ({"model": "other"}, "no such model; it has scripted"),
        ({"request_timeout": 0.0}, "--request-timeout"),
    ],
)
def test_options_no_server_can_honour(
    options: dict[str, object], message: str, served: Served
) -> None:
    with pytest.raises(UsageError, match=message):
        shenhe.load(**{"model": "scripted", "engine": "server", "base_url": served.url} | options)  # type: ignore[arg-type]


def test_nobody_there() -> None:
    with pytest.raises(EngineError, match="no OpenAI-compatible server there"):
        create_engine(EngineSpec(model="m", engine=ServerOptions(base_url="http://127.0.0.1:9/v1")))
