"""Chat completions: OpenAI's own client, token by token with the local engine behind it."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import openai
import pytest

from shenhe.config import load_missions, load_prompts
from shenhe.engines.base import EngineSpec
from shenhe.engines.local.engine import LocalEngine
from shenhe.engines.options import ServerOptions
from shenhe.engines.server import ServerEngine
from shenhe.messages import Answer, ImagePart, Message, Request, Sampling
from shenhe.stages import caption, summary, verdict
from shenhe.values import FAIL, PASS
from tests.service.apis import Running, left_behind
from tests.service.chats import Body, chatting, post, user

MISSION = load_missions().get("挡风板安装检查")
PROMPTS = load_prompts()
ASK = "描述这张图片"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, engine: LocalEngine) -> Iterator[Running]:
    with chatting(tmp_path_factory.mktemp("chat"), engine) as served:
        yield served


@pytest.fixture(scope="module")
def client(served: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as client:
        yield client


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
    with pytest.raises(openai.NotFoundError, match="there is no model 'other' here") as missing:
        client.models.retrieve("other")
    assert isinstance(missing.value.body, dict)
    assert {"message", "type", "param", "code"} == set(missing.value.body)
    assert (missing.value.code, missing.value.param) == ("model_not_found", None)


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
        for n, photo in enumerate(demo_photos[:3])
    ]
    requests.append(verdict.request("v", lines, MISSION, PROMPTS.verdict))
    requests.append(caption.request("c", demo_photos[:1], PROMPTS.caption, 64))
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


def test_a_photo_is_fetched_from_a_host_that_is_allowed(
    tmp_path: Path, engine: LocalEngine, demo_photos: list[Path]
) -> None:
    """As vLLM's examples name their photos."""
    photo = demo_photos[0]
    answer = expected(engine, Message("user", (ASK, ImagePart(photo))))
    with (
        photos_at(photo.parent) as (host, url),
        chatting(tmp_path, engine, allow=[host]) as served,
        openai.OpenAI(base_url=f"{served.url}/v1", api_key="EMPTY") as client,
    ):
        part: Any = {"type": "image_url", "image_url": {"url": url + photo.name}}
        completion = client.chat.completions.create(
            model=client.models.list().data[0].id,
            messages=[{"role": "user", "content": [{"type": "text", "text": ASK}, part]}],
            max_completion_tokens=24,
        )
        assert completion.choices[0].message.content == answer.text
        assert left_behind(served.service) == []


@contextmanager
def photos_at(folder: Path) -> Iterator[tuple[str, str]]:
    """Serve a folder; gives host and port, and its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *values: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        host = f"127.0.0.1:{server.server_port}"
        yield host, f"http://{host}/"
        server.shutdown()
        thread.join()
