"""Chat completions: OpenAI's own client, token by token with the local engine behind it."""

from __future__ import annotations

import base64
import gc
import json
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest

from shenhe.checkpoints.inspect import find_checkpoint
from shenhe.checkpoints.processor import read_budget
from shenhe.config import load_missions, load_prompts
from shenhe.engines.base import EngineSpec, ServingEngine
from shenhe.engines.cancelling import cancelled
from shenhe.engines.local.engine import LocalEngine
from shenhe.engines.options import ServerOptions
from shenhe.engines.server import ServerEngine
from shenhe.messages import Answer, ImagePart, Message, Piece, Request, Sampling, Served
from shenhe.service.chat.protocol import SentPart
from shenhe.service.chat.served import ChatLimits, ChatModel
from shenhe.service.hub import ModelHub
from shenhe.service.limits import Limits
from shenhe.stages import caption, summary, verdict
from shenhe.values import FAIL, PASS
from tests.service.apis import Running, client_of, left_behind, make_service, running
from tests.service.paced import PacedScript

MISSION = load_missions().get("挡风板安装检查")
PROMPTS = load_prompts()
ASK = "描述这张图片"
Body = dict[str, Any]


@contextmanager
def chatting(
    data_dir: Path, engine: ServingEngine, limits: ChatLimits | None = None
) -> Iterator[Running]:
    """Answer chat with an engine, over a port of this machine."""
    hub = ModelHub(lambda: engine, 4)
    service = make_service(data_dir, Limits(free_bytes=0, photos=4))
    budget = read_budget(find_checkpoint("demo"))
    chat = ChatModel("demo", lambda: hub, budget=budget, limits=limits or ChatLimits())
    try:
        with running(replace(service, chat=chat)) as served:
            yield served
    finally:
        hub.close()
        service.store.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, engine: LocalEngine) -> Iterator[Running]:
    with chatting(tmp_path_factory.mktemp("chat"), engine) as served:
        yield served


@pytest.fixture(scope="module")
def client(served: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def data_url(photo: Path) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(photo.read_bytes()).decode()}"


def user(*parts: str | Path) -> Body:
    content = [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else {"type": "image_url", "image_url": {"url": data_url(part)}}
        for part in parts
    ]
    return {"role": "user", "content": content}


def expected(engine: LocalEngine, *messages: Message, **fields: Any) -> Answer:
    """What the local engine says, greedy, without any service."""
    request = Request("alone", messages, fields.pop("max_new_tokens", 24), **fields)
    (answer,) = engine.answer([request])
    assert isinstance(answer, Answer), answer
    return answer


def test_the_model_is_listed(client: openai.OpenAI) -> None:
    (model,) = client.models.list().data
    assert (model.id, model.owned_by) == ("demo", "shenhe")
    assert client.models.retrieve("demo") == model
    with pytest.raises(openai.NotFoundError, match="there is no model 'other' here"):
        client.models.retrieve("other")


def test_an_answer_is_that_of_the_local_engine(
    client: openai.OpenAI, engine: LocalEngine, demo_photos: list[Path]
) -> None:
    """A conversation of several turns, with several photos in their order."""
    first, second, third = demo_photos[:3]
    messages: Any = [
        {"role": "system", "content": "你是质检员。"},
        user(first, ASK, second),
        {"role": "assistant", "content": "无关图片"},
        user("再看", third),
    ]
    completion = client.chat.completions.create(
        model="demo", messages=messages, max_completion_tokens=24, logprobs=True, top_logprobs=3
    )
    answer = expected(
        engine,
        Message("system", ("你是质检员。",)),
        Message("user", (ImagePart(first), ASK, ImagePart(second))),
        Message("assistant", ("无关图片",)),
        Message("user", ("再看", ImagePart(third))),
        top_logprobs=3,
    )
    (choice,) = completion.choices
    assert (choice.message.role, choice.message.content) == ("assistant", answer.text)
    assert choice.finish_reason == answer.finish_reason
    assert completion.usage is not None
    assert completion.usage.prompt_tokens == answer.prompt_tokens
    assert completion.usage.completion_tokens == answer.new_tokens
    assert choice.logprobs is not None
    tokens = choice.logprobs.content or []
    assert [(t.token, bytes(t.bytes or [])) for t in tokens] == [
        (t.text, t.raw) for t in answer.token_logprobs
    ]
    assert [t.logprob for t in tokens] == pytest.approx(
        [min(t.logprob, 0.0) for t in answer.token_logprobs], abs=1e-4
    )
    assert all(len(t.top_logprobs) == 3 for t in tokens)


def test_a_stream_joins_to_the_answer(
    client: openai.OpenAI, engine: LocalEngine, demo_photos: list[Path]
) -> None:
    answer = expected(engine, Message("user", (ImagePart(demo_photos[0]), ASK)), top_logprobs=0)
    messages: Any = [user(demo_photos[0], ASK)]
    stream = client.chat.completions.create(
        model="demo",
        messages=messages,
        max_tokens=24,
        stream=True,
        stream_options={"include_usage": True},
        logprobs=True,
    )
    *chunks, last, usage = list(stream)
    texts = [chunk.choices[0].delta.content or "" for chunk in chunks]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(texts) == answer.text
    assert sum(map(bool, texts)) > 3
    assert {chunk.choices[0].finish_reason for chunk in chunks} == {None}
    assert last.choices[0].finish_reason == answer.finish_reason
    assert usage.choices == []
    assert usage.usage is not None
    assert usage.usage.completion_tokens == answer.new_tokens
    logprobs = [chunk.choices[0].logprobs for chunk in chunks]
    tokens = [token for entry in logprobs if entry is not None for token in entry.content or []]
    assert [token.token for token in tokens] == [t.text for t in answer.token_logprobs]
    without = client.chat.completions.create(
        model="demo", messages=messages, max_tokens=24, stream=True
    )
    assert [c.choices[0].delta.content or "" for c in without] == [*texts, ""]


def test_sampling_and_ends_are_as_asked(client: openai.OpenAI, engine: LocalEngine) -> None:
    messages: Any = [{"role": "user", "content": "说几句。"}]
    question = Message("user", ("说几句。",))

    def say(**fields: Any) -> str:
        completion = client.chat.completions.create(model="demo", messages=messages, **fields)
        return completion.choices[0].message.content or ""

    hot: Any = {"temperature": 1.5, "seed": 7, "max_tokens": 16}
    drawn = say(**hot, top_p=0.9)
    sampling = Sampling(1.5, 0.9, seed=7)
    assert drawn == expected(engine, question, sampling=sampling, max_new_tokens=16).text
    assert drawn == say(**hot, top_p=0.9)
    assert say(**hot, extra_body={"top_k": 1}) == say(max_tokens=16, temperature=0)
    whole = expected(engine, question).text
    stop = whole[3]
    assert say(max_tokens=24, stop=stop) == whole[: whole.index(stop)]
    assert say(max_tokens=24, stop=[stop, "不会有"]) == whole[: whole.index(stop)]
    assert say(max_tokens=24, extra_body={"repetition_penalty": 5.0}) != whole


SCHEMA: Body = {
    "type": "object",
    "properties": {"verdict": {"enum": ["通过", "不通过"]}},
    "required": ["verdict"],
    "additionalProperties": False,
}
NAMED_SCHEMA: Body = {"type": "json_schema", "json_schema": {"name": "v", "schema": SCHEMA}}
GBNF = 'root ::= verdict "！"\nverdict ::= "通过" | "不通过"\n'


@pytest.mark.parametrize(
    "fields",
    [
        {"guided_choice": ["通过！", "不通过！"]},
        {"guided_regex": "(通过|不通过)！"},
        {"guided_grammar": 'start: ("通过" | "不通过") "！"\n'},
        {"structured_outputs": {"grammar": GBNF}},
        {"structured_outputs": {"regex": "(通过|不通过)！"}},
        {"structured_outputs": {"choice": ["通过！", "不通过！"]}},
        {"guided_json": {"const": "通过！"}},
        {"guided_json": '{"const": "不通过！"}'},
        {"structured_outputs": {"json": SCHEMA}},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "v", "schema": SCHEMA},
            }
        },
        {"response_format": {"type": "json_object"}, "stop": ["}"]},
    ],
)
def test_forms_are_held(client: openai.OpenAI, fields: Body) -> None:
    completion = client.chat.completions.create(
        model="demo",
        messages=[{"role": "user", "content": "通过吗？"}],
        max_tokens=32,
        extra_body=fields,
    )
    text = completion.choices[0].message.content or ""
    if "response_format" not in fields and "json" not in json.dumps(fields):
        assert text in ("通过！", "不通过！")
    elif "stop" in fields:
        assert text.startswith("{")
    else:
        value = json.loads(text)
        assert value in ("通过！", "不通过！") or value["verdict"] in ("通过", "不通过")
    assert completion.choices[0].finish_reason == "stop" or "stop" in fields


def test_messages_of_ms_swift_are_understood(
    served: Running, engine: LocalEngine, demo_photos: list[Path]
) -> None:
    """A part of kind `image`, bare base64, and photos beside texts with <image>."""
    first, second = demo_photos[:2]
    bare = [base64.b64encode(photo.read_bytes()).decode() for photo in (first, second)]
    parts = [{"type": "image", "image": bare[0]}, {"type": "text", "text": ASK}]
    (one,) = engine.answer([Request("a", (Message("user", (ImagePart(first), ASK)),), 16)])
    text = f"<image>{ASK}<image>"
    (two,) = engine.answer(
        [Request("b", (Message("user", (ImagePart(first), ASK, ImagePart(second))),), 16)]
    )
    for body, answer in (
        ({"messages": [{"role": "user", "content": parts}]}, one),
        ({"messages": [{"role": "user", "content": text}], "images": bare}, two),
    ):
        status, told = post(served, {**body, "max_tokens": 16, "temperature": 0})
        assert status == 200, told
        assert isinstance(answer, Answer)
        assert told["choices"][0]["message"]["content"] == answer.text
    status, told = post(served, {"messages": [{"role": "user", "content": ASK}], "images": bare})
    assert (status, told["error"]["message"]) == (400, "images: more than <image> tags")


def post(served: Running, body: Body | bytes, **headers: str) -> tuple[int, Body]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {served.host}:{served.port}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    answer = served.send(head.encode() + data)
    return answer.status, answer.body


QUESTION: Body = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 4}
PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"


def photo(url: object) -> Body:
    part = {"type": "image_url", "image_url": {"url": url}}
    return {"messages": [{"role": "user", "content": [part]}], "max_tokens": 4}


@pytest.fixture(scope="module")
def client_engine(served: Running) -> Iterator[ServerEngine]:
    options = ServerOptions(base_url=f"{served.url}/v1")
    with closing(ServerEngine(EngineSpec(model="demo", batch_size=4, engine=options))) as engine:
        yield engine


def test_shenhes_own_client_gives_the_answers_of_the_local_engine(
    client_engine: ServerEngine, engine: LocalEngine, demo_photos: list[Path]
) -> None:
    """Greedy and drawn, lines, verdicts and captions, and what a promise is bound to."""
    assert client_engine.fingerprint == engine.fingerprint
    assert client_engine.dialect.form == "shenhe_grammar"
    assert client_engine.budget is not None
    assert client_engine.budget.warnings == []
    lines = {"图片_1": "BBU设备/华为/显示完整/无需安装×1", "图片_2": "标签/可以识别×1"}
    requests = [
        summary.request(f"s{n}", photo, MISSION, PROMPTS.summary, 96)
        for n, photo in enumerate(demo_photos[:5])
    ]
    requests.append(verdict.request("v", lines, MISSION, PROMPTS.verdict))
    requests.append(caption.request("c", demo_photos[:2], PROMPTS.caption, 160))
    requests += [replace(request, key=f"{request.key}r", attempt=2) for request in requests]
    told = {a.key: a for a in client_engine.answer(requests) if isinstance(a, Answer)}
    for answer in engine.answer(requests):
        assert isinstance(answer, Answer)
        served = told[answer.key]
        assert served.text == answer.text
        for name in ("finish_reason", "prompt_tokens", "new_tokens", "attempt"):
            assert getattr(served, name) == getattr(answer, name), name
        assert [s.resized_wh for s in served.sizes] == [s.resized_wh for s in answer.sizes]
        if answer.choice_logprobs:
            odds = [a.choice_logprobs[PASS] - a.choice_logprobs[FAIL] for a in (served, answer)]
            assert odds[0] == pytest.approx(odds[1], abs=1e-4)
    assert told["s0r"].text != told["s0"].text or told["cr"].text != told["c"].text


def test_shenhes_own_client_streams(
    client_engine: ServerEngine, engine: LocalEngine, demo_photos: list[Path]
) -> None:
    request = summary.request("a", demo_photos[0], MISSION, PROMPTS.summary, 96)
    (expected,) = engine.answer([request])
    pieces = list(client_engine.stream(request))
    assert isinstance(expected, Answer)
    assert "".join(pieces) == expected.text
    assert len(pieces) > 3


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "malformed_body"),
        (b"[" * 100_000, 400, "malformed_body"),
        (b'{"messages": [{"role": "user", "content": "\xff"}]}', 400, "malformed_body"),
        ({}, 400, "malformed_body"),
        ({"messages": []}, 400, "malformed_body"),
        ({"messages": [{"role": "tool", "content": "x"}]}, 400, "malformed_body"),
        (QUESTION | {"temperature": -1}, 400, "malformed_body"),
        (QUESTION | {"temperature": float("nan")}, 400, "malformed_body"),
        (QUESTION | {"seed": 2**70}, 400, "malformed_body"),
        (QUESTION | {"max_tokens": 0}, 400, "malformed_body"),
        (QUESTION | {"max_tokens": 10**9}, 400, "bad_field"),
        (QUESTION | {"n": 2}, 400, "unsupported_field"),
        (QUESTION | {"tools": [{"type": "function"}]}, 400, "unsupported_field"),
        (QUESTION | {"presence_penalty": 1.5}, 400, "unsupported_field"),
        (QUESTION | {"no_such": 1}, 400, "unknown_field"),
        (QUESTION | {"top_logprobs": 3}, 400, "bad_field"),
        (QUESTION | {"model": "qwen"}, 404, "model_not_found"),
        (QUESTION | {"guided_regex": "a(b"}, 400, "bad_grammar"),
        (QUESTION | {"guided_grammar": "root ::= ("}, 400, "bad_grammar"),
        (QUESTION | {"guided_json": {"type": "thing"}}, 400, "bad_grammar"),
        (QUESTION | {"guided_choice": []}, 400, "bad_field"),
        (QUESTION | {"guided_regex": "a", "guided_choice": ["a"]}, 400, "bad_field"),
        (QUESTION | {"guided_regex": "a" * 1_000_001}, 413, "grammar_too_long"),
        ({"messages": [{"role": "user", "content": "x" * 100_001}]}, 413, "text_too_long"),
        ({"messages": [{"role": "user", "content": "<|image_pad|>"}]}, 400, "library_error"),
        (photo(""), 400, "malformed_body"),
        (photo("/etc/passwd"), 400, "bad_photo"),
        (photo("file:///etc/passwd"), 400, "bad_photo"),
        (photo("data:image/png,abc"), 400, "bad_photo"),
        (photo("data:image/png;base64,!!!"), 400, "bad_photo"),
        (photo("data:image/png;base64,"), 400, "empty_photo"),
        (photo("data:image/png;base64,aGVsbG8="), 415, "kind_not_read"),
        (photo(PIXEL), 400, "truncated"),
        (photo("http://169.254.169.254/latest"), 400, "host_not_allowed"),
        ({"messages": [user(*["x"] * 0)] * 5} | photo(1), 400, "malformed_body"),
    ],
)
def test_what_cannot_be_answered_is_told(
    served: Running, body: Body | bytes, status: int, code: str
) -> None:
    assert post(served, body)[0] == status, post(served, body)
    answered, told = post(served, body)
    assert (answered, told["error"]["code"]) == (status, code), told
    assert left_behind(served.service) == []


DOUBLING = "".join(f'r{n}: r{n + 1} r{n + 1} | "y"\n' for n in range(3000))
EITHER = [
    {"anyOf": [{"type": "string", "pattern": f"a{n}.*"}, {"type": "integer"}]} for n in range(300)
]
BOMBS: dict[str, Body] = {
    "memory": {"guided_json": {"allOf": EITHER}},
    "stack": {"guided_grammar": f'start: r0\n{DOUBLING}r3000: "x"'},
    "own": {
        "shenhe_grammar": {
            "kind": "verdict",
            "regex": "x",
            "lark": f'start: r0\n{DOUBLING}r3000: "x"',
        }
    },
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_form_that_would_end_the_model_does_not_reach_it(tmp_path: Path, name: str) -> None:
    engine = PacedScript(lambda request: "通过")
    with chatting(tmp_path, engine) as served:
        status, told = post(served, QUESTION | BOMBS[name])
        assert (status, told["error"]["code"]) == (400, "bad_grammar"), told
        assert engine.asked == []
        assert post(served, QUESTION | {"guided_regex": "通过"})[0] == 200


def test_what_was_sent_is_let_go_of_while_the_model_answers(
    tmp_path: Path, demo_photos: list[Path]
) -> None:
    engine = PacedScript(lambda request: "通过")
    engine.gate.clear()
    with chatting(tmp_path, engine) as served:
        body = {"messages": [user("照片", demo_photos[0])]}
        asking = threading.Thread(target=post, args=(served, body))
        asking.start()
        until = time.monotonic() + 10
        while not engine.asked and time.monotonic() < until:
            time.sleep(0.01)
        held = [each for each in gc.get_objects() if isinstance(each, SentPart)]
        engine.gate.set()
        asking.join()
        assert engine.asked
        assert held == []


def test_photos_of_chats_leave_the_disk_free(tmp_path: Path, demo_photos: list[Path]) -> None:
    chat = ChatModel("demo", lambda: hub)
    hub = ModelHub(lambda: PacedScript(lambda request: "通过"), 4)
    service = replace(make_service(tmp_path, Limits(free_bytes=2**62)), chat=chat)
    with closing(hub), client_of(service) as client:
        answer = client.post("/v1/chat/completions", json={"messages": [user(demo_photos[0])]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "disk_full")


def test_too_many_photos_are_refused(served: Running, demo_photos: list[Path]) -> None:
    status, told = post(served, {"messages": [user(*[demo_photos[0]] * 5)]})
    assert (status, told["error"]["code"]) == (413, "too_many_photos")


class Slow(ServingEngine):
    """Writes one character after the other, and never ends by itself."""

    fingerprint = "slow"

    def __init__(self) -> None:
        self.cancelled: list[str] = []

    def serve(self, requests: Iterable[Request | None]) -> Generator[Served, None, None]:
        running: dict[str, Request] = {}
        for request in requests:
            if request is not None:
                running[request.key] = request
            for key in [key for key in running if key in self.cancelled]:
                yield cancelled(running.pop(key))
            yield from (Piece(key, "字") for key, r in running.items() if r.streamed)
            time.sleep(0.005)

    def cancel(self, key: str) -> None:
        self.cancelled.append(key)


@pytest.mark.parametrize("stream", [True, False])
def test_who_goes_away_stops_the_answer(tmp_path: Path, stream: bool) -> None:
    engine = Slow()
    with chatting(tmp_path, engine) as served:
        assert served.service.chat is not None
        hub = served.service.chat.find_hub()
        with (
            openai.OpenAI(base_url=f"{served.url}/v1", api_key="x", max_retries=0) as client,
            pytest.raises(openai.APITimeoutError) if not stream else client,
        ):
            answer = client.chat.completions.create(
                model="demo",
                messages=[{"role": "user", "content": "x"}],
                stream=stream,
                timeout=20 if stream else 0.5,
            )
            assert isinstance(answer, openai.Stream)
            assert next(answer).choices[0].delta.content == ""
            assert next(answer).choices[0].delta.content == "字"
            answer.close()
        end = time.monotonic() + 5
        while hub.load.total and time.monotonic() < end:
            time.sleep(0.01)
        assert (hub.load.total, len(engine.cancelled)) == (0, 1)


def test_a_process_without_a_model_says_so(tmp_path: Path) -> None:
    service = make_service(tmp_path)
    with client_of(service) as client:
        for response in (client.get("/v1/models"), client.post("/v1/chat/completions", json={})):
            assert response.status_code == 503
            assert response.json()["error"]["code"] == "no_model"
    service.store.close()


def test_bodies_have_room_or_come_again(tmp_path: Path) -> None:
    engine = Slow()
    with chatting(tmp_path, engine, ChatLimits(body_bytes=200, held_bytes=300)) as served:
        assert served.service.chat is not None
        with served.service.chat.room.taken(250):
            status, told = post(served, QUESTION)
        assert (status, told["error"]["code"]) == (429, "busy")
        status, told = post(served, QUESTION | {"user": "x" * 300})
        assert (status, told["error"]["code"]) == (413, "body_too_large")
        assert served.service.chat.room.used == 0


def test_the_document_shows_it(tmp_path: Path) -> None:
    service = make_service(tmp_path)
    with client_of(service) as client:
        paths = client.get("/openapi.json").json()["paths"]
    service.store.close()
    body = paths["/v1/chat/completions"]["post"]["requestBody"]["content"]["application/json"]
    assert "$ref" not in json.dumps(body)
    assert {"messages", "stream", "response_format"} <= body["schema"]["properties"].keys()
