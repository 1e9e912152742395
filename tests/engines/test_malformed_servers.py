"""Malformed answers of servers: each fails its own request at most, and no secret leaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from shenhe.config import load_missions, load_prompts
from shenhe.engines.base import EngineSpec
from shenhe.engines.create import create_engine
from shenhe.engines.options import ServerOptions
from shenhe.engines.server import ServerEngine, transport
from shenhe.engines.server.backoff import Backoff, parse_retry_after
from shenhe.engines.server.completions import Body
from shenhe.engines.server.served_model import other_names
from shenhe.errors import EngineError, ItemError, UsageError
from shenhe.messages import Answer, Request, RequestFailed
from shenhe.runs.verdict_policy import p_pass
from shenhe.stages import summary, verdict
from tests.servers import malformed
from tests.servers.specs import server_engines
from tests.servers.starting import Served, scripted

MISSION = load_missions().get("挡风板安装检查")
PROMPTS = load_prompts()
Make = Callable[..., ServerEngine]


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with scripted("--form", "structured_outputs", "--odd") as server:
        yield server


@pytest.fixture
def make(served: Served) -> Iterator[Make]:
    with server_engines() as make_engine:

        def _make(model: str, url: str = served.url, **options: object) -> ServerEngine:
            return make_engine(url, model, **options)

        yield _make


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


@pytest.mark.parametrize("name", malformed.FINE)
def test_optional_fields_may_be_malformed(
    name: str, make: Make, served: Served, demo_photos: list[Path]
) -> None:
    engine = make(name)
    before = served.get("counts")["asked"]
    (answer,) = engine.answer([_line(demo_photos[0])])
    assert isinstance(answer, Answer), answer
    assert answer.text.startswith("BBU设备/华为")
    assert 0 <= answer.prompt_tokens < 100
    assert served.get("counts")["asked"] == before + 1


@pytest.mark.parametrize("name", [*malformed.LOST, *malformed.AGAIN])
def test_a_bad_answer_fails_its_request(
    name: str,
    make: Make,
    demo_photos: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("shenhe.engines.server.backoff.PAUSE_SECONDS", 0.001)
    (failed,) = make(name).answer([_line(demo_photos[0])])
    _, words = (malformed.LOST | malformed.AGAIN)[name]
    assert isinstance(failed, RequestFailed), failed
    assert words in failed.message
    assert failed.message.isprintable()
    assert failed.code in ("bad_answer", "refused")
    assert words in caplog.text or failed.code == "refused"


@pytest.mark.parametrize("name", malformed.UNKNOWN)
def test_invalid_log_probabilities_are_ignored(name: str, make: Make) -> None:
    (answer,) = make(name).answer([_verdict()])
    assert isinstance(answer, Answer)
    assert answer.text.startswith(("通过", "不通过"))
    assert p_pass(answer) is None


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("scored", True),
        ("scored_in_part", True),
        ("scored_without_token", True),
        ("scored_another", False),
        ("scored_thinking", False),
    ],
)
def test_log_probabilities_of_another_text_are_ignored(name: str, known: bool, make: Make) -> None:
    (answer,) = make(name).answer([_verdict()])
    assert isinstance(answer, Answer)
    assert answer.text.startswith("通过")
    assert (p_pass(answer) is not None) == known


@pytest.mark.parametrize(
    ("asked", "entries", "refused"),
    [
        ("a", [{"id": "a"}, {"id": "scripted"}], True),
        ("a", [{"id": "a", "root": "/m/a"}, {"id": "scripted", "root": "/m/b"}], True),
        ("a", [{"id": "a", "root": "/m/a"}, {"id": "scripted", "root": "/m/a"}], False),
        ("a", [{"id": "a"}], False),  # a longer name of the same one, as OpenAI's dated ones
        ("scripted", [{"id": "a"}, {"id": "scripted"}], False),
    ],
)
def test_no_other_model_answers(asked: str, entries: list[Body], refused: bool) -> None:
    entry = next(entry for entry in entries if entry["id"] == asked)
    others = other_names(entry, None, entries)
    assert ("scripted" in others) == refused
    base: Body = {"id": "scripted"}  # earlier servers name the base of the adapter that answers
    assert "scripted" not in other_names(entry, base, entries)


@pytest.mark.parametrize(
    "name", [*malformed.LOST, *malformed.AGAIN, *malformed.UNKNOWN, "elsewhere"]
)
def test_bad_answers_to_probes_end_nothing(
    name: str, make: Make, demo_photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shenhe.engines.server.backoff.PAUSE_SECONDS", 0.001)
    engine = make(f"probe-{name}")
    if name in malformed.UNKNOWN:
        assert engine.dialect.top_logprobs == 0
    (answer,) = engine.answer([_line(demo_photos[0])])
    assert isinstance(answer, Answer)


@pytest.mark.parametrize("name", ["choices_empty", "error", "two_lengths", "status_401", "reset"])
def test_an_answer_that_is_bad_once_is_retried(
    name: str, make: Make, demo_photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shenhe.engines.server.backoff.PAUSE_SECONDS", 0.001)
    engine = make(f"once-{name}")
    assert engine.dialect == make("scripted").dialect
    (answer,) = engine.answer([_line(demo_photos[0])])
    assert isinstance(answer, Answer)


@pytest.mark.parametrize(
    "name",
    [
        *("event_null", "event_no_space", "event_crlf", "event_cr", "event_lines", "event_no_end"),
        *("event_whole", "event_whole_plain", "event_other_choice", "streamed", "scripted"),
        *("event_behind_the_end", "event_message", "event_message_again"),
    ],
)
def test_streams_are_read_by_their_specification(name: str, make: Make) -> None:
    pieces, answer = _streamed(make(name))
    assert "".join(pieces) == answer.text
    assert "\n理由: " in answer.text
    assert answer.finish_reason == "stop"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("event_error", "the server broke off: CUDA out of memory"),
        ("event_error_field", "the server broke off: CUDA out of memory"),
        ("event_error_in_a_list", "the server broke off: CUDA out of memory"),
        ("event_error_in_an_error", "the server broke off: CUDA out of memory"),
        ("event_error_in_a_choice", "the server broke off: CUDA out of memory"),
        ("event_of_the_end", "an empty answer"),
        ("event_torn", "no JSON"),
        ("half_stream", "ended before the answer did"),
        ("content_null", "reasoning parser"),
        ("no_http", "no HTTP"),
        ("echo_error", "status 400"),
        ("bomb", "16 MiB"),
    ],
)
def test_the_end_of_a_broken_stream_is_reported(
    name: str, message: str, make: Make, served: Served
) -> None:
    with pytest.raises(ItemError, match=f"--base-url {served.url}: .*{message}"):
        _streamed(make(name))


def test_surrogates_are_joined(make: Make) -> None:
    pieces, answer = _streamed(make("event_pair"))
    assert pieces == ["螺", "😀丝"]
    assert answer.text == "螺😀丝"


def test_a_body_shorter_than_announced_is_not_waited_for(
    make: Make, demo_photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "IDLE_SECONDS", 0.05)
    monkeypatch.setattr("shenhe.engines.server.backoff.PAUSE_SECONDS", 0.001)
    (failed,) = make("held_back").answer([_line(demo_photos[0])])
    assert isinstance(failed, RequestFailed)
    assert failed.message == "1 bytes of 400 came, then nothing"


def test_redirects_stay_on_the_same_server(make: Make, demo_photos: list[Path]) -> None:
    (answer,) = make("within").answer([_line(demo_photos[0])])
    assert isinstance(answer, Answer)
    (failed,) = make("elsewhere").answer([_line(demo_photos[0])])
    assert isinstance(failed, RequestFailed)
    assert failed.code == "refused"
    assert "sends us on to http://localhost:9/v1/chat, where nothing is sent" in failed.message


@pytest.mark.parametrize("credential", ["key", "password"])
@pytest.mark.parametrize("name", ["echo_text", "echo_error", "echo_html", "echo_line"])
def test_no_secret_leaks(
    name: str,
    credential: str,
    make: Make,
    served: Served,
    demo_photos: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("shenhe.engines.server.backoff.PAUSE_SECONDS", 0.001)
    caplog.set_level("DEBUG")
    url, secrets = served.url, ["sk-geheim"]
    if credential == "password":
        url = url.replace("://", "://user:p%40ss-wort@")
        secrets = ["p%40ss-wort", "p@ss-wort", "dXNlcjpwQHNzLXdvcnQ="]
    else:
        monkeypatch.setenv("SHENHE_API_KEY", secrets[0])
    engine = make(name, url)
    (result,) = engine.answer([_line(demo_photos[0])])
    output = repr(result) + caplog.text
    if name in ("echo_text", "echo_error"):
        with pytest.raises(ItemError) if name == "echo_error" else nullcontext() as raised:
            output += repr(_streamed(engine))
        output += str(raised.value) if raised else ""
    assert not [secret for secret in secrets if secret in output]
    assert "***" in output or name == "echo_line"


def test_a_secret_that_comes_in_pieces(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-geheim-7")
    pieces, answer = _streamed(make("echo_events"))
    assert answer.text == "螺丝 Bearer ***!"
    assert "".join(pieces) == answer.text


@pytest.mark.parametrize(
    "url",
    [
        *("http://", "http://user:pass-wort@", "http://user:pass-wort@host:x/v1"),
        *("http://host:99999/", "htp://user:pass-wort@host/v1", "http://user:pass/wort@host/v1"),
        "http://[::1",
    ],
)
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises((UsageError, EngineError), match="--base-url") as raised:
        create_engine(EngineSpec(model="m", engine=ServerOptions(base_url=url)))
    assert "pass" not in str(raised.value)
    assert "wort" not in str(raised.value)


def test_a_key_that_no_header_can_hold(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHENHE_API_KEY", "geheim\r\nX: y")
    with pytest.raises(UsageError, match="a key is made of visible ASCII") as raised:
        make("scripted")
    assert "geheim" not in str(raised.value)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("3", 3), ("0.5", 0.5), ("1e9", 1e9), ("inf", float("inf")), ("9" * 5000, float("inf"))]
    + [(text, None) for text in ("nan", "-3", "0", "soon", "", "Wed, 21 Oct 2015 07:28:00 GMT")]
    + [("Mon, 99 Foo 2015", None), ("\x00", None)],
)
def test_retry_after(header: str, seconds: float | None) -> None:
    assert parse_retry_after(header) == seconds


def test_a_date_to_wait_for() -> None:
    seconds = parse_retry_after("Fri, 31 Dec 2999 23:59:59 GMT")
    assert seconds is not None
    assert seconds > 1e9


def test_no_pause_is_longer_than_two_minutes(caplog: pytest.LogCaptureFixture) -> None:
    backoff = Backoff("http://host/v1", 1800)
    assert backoff.pause(1, "1000000000") == 120
    assert backoff.pause(1, "inf") == 120
    assert caplog.text.count("says to wait for 1e+09 s (Retry-After): asked again after 120 s") == 1
    assert Backoff("x", 3).pause(1, "60") == 3
    assert 2 <= Backoff("x", 1800).pause(1, "2") <= 3
    assert 0 < Backoff("x", 1800).pause(1, "nan") < 1


def test_an_endless_retry_after_is_reported(
    make: Make, demo_photos: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    with scripted("--status", "429", "--retry-after", "1000000000") as server:
        engine = make("scripted", server.url, server_patience=0.1)
        requests = [replace(_line(photo), key=str(n)) for n, photo in enumerate(demo_photos[:17])]
        with pytest.raises(EngineError, match="16 times in a row: status 429: told to"):
            list(engine.answer(requests))
    assert "says to wait for 1e+09 s" in caplog.text


@pytest.mark.parametrize("listing", ["null", "empty", "odd"])
def test_a_list_of_models_that_cannot_be_read_is_no_reason_to_stop(
    listing: str, make: Make, demo_photos: list[Path]
) -> None:
    with scripted("--listing", listing) as server:
        (answer,) = make("scripted", server.url).answer([_line(demo_photos[0])])
        assert isinstance(answer, Answer)
        assert make("scripted", server.url, adapters=("lora",)).fingerprint == "server:lora"
