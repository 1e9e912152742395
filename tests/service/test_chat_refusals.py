"""Chat that cannot be answered: what is told, and who goes away."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

import openai
import pytest

from shenhe.engines.local.engine import LocalEngine
from shenhe.errors import EngineError
from shenhe.messages import Piece, Request, Served
from shenhe.service.chat.served import ChatLimits
from tests.service.apis import Running, client_of, left_behind, make_service
from tests.service.chats import QUESTION, Body, Slow, asking_of, chatting, post, user

PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, engine: LocalEngine) -> Iterator[Running]:
    with chatting(tmp_path_factory.mktemp("chat"), engine) as served:
        yield served


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
        (asking_of(""), 400, "malformed_body"),
        (asking_of("/etc/passwd"), 400, "bad_photo"),
        (asking_of("file:///etc/passwd"), 400, "bad_photo"),
        (asking_of("data:image/png,abc"), 400, "bad_photo"),
        (asking_of("data:image/png;base64,!!!"), 400, "bad_photo"),
        (asking_of("data:image/png;base64,"), 400, "empty_photo"),
        (asking_of("data:image/png;base64,aGVsbG8="), 415, "kind_not_read"),
        (asking_of(PIXEL), 400, "truncated"),
        (asking_of("http://169.254.169.254/latest"), 400, "host_not_allowed"),
        ({"messages": [user(*["x"] * 0)] * 5} | asking_of(1), 400, "malformed_body"),
    ],
)
def test_what_cannot_be_answered_is_told(
    served: Running, body: Body | bytes, status: int, code: str
) -> None:
    assert post(served, body)[0] == status, post(served, body)
    answered, told = post(served, body)
    assert (answered, told["error"]["code"]) == (status, code), told
    # Where ms-swift's client looks.
    assert (told["object"], told["message"]) == ("error", told["error"]["message"])
    assert left_behind(served.service) == []


def test_too_many_photos_are_refused(served: Running, demo_photos: list[Path]) -> None:
    status, told = post(served, {"messages": [user(*[demo_photos[0]] * 5)]})
    assert (status, told["error"]["code"]) == (413, "too_many_photos")


class Dying(Slow):
    """Dies behind its first piece of each answer."""

    def serve(self, requests: Iterable[Request | None]) -> Generator[Served, None, None]:
        for result in super().serve(requests):
            yield result
            if isinstance(result, Piece):
                raise EngineError("the model failed: CUDA error")


def test_a_model_that_dies_in_a_stream_is_told(tmp_path: Path) -> None:
    with (
        chatting(tmp_path, Dying()) as served,
        openai.OpenAI(base_url=f"{served.url}/v1", api_key="x", max_retries=0) as client,
    ):
        stream = client.chat.completions.create(
            model="demo", messages=[{"role": "user", "content": "x"}], stream=True
        )
        with pytest.raises(openai.APIError, match="CUDA error"):
            list(stream)


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
