"""Chats that would take the model, the memory or the disk of the service."""

from __future__ import annotations

import gc
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from shenhe.service.chat.protocol import SentPart
from shenhe.service.chat.served import ChatModel, NamedModel
from shenhe.service.hub import ModelHub
from shenhe.service.limits import Limits
from tests.service.apis import client_of, make_service
from tests.service.chats import QUESTION, Body, chatting, post, user
from tests.service.paced import PacedScript

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
        held = [each for each in gc.get_objects() if type(each) is SentPart]
        engine.gate.set()
        asking.join()
        assert engine.asked
        assert held == []


def test_photos_of_chats_leave_the_disk_free(tmp_path: Path, demo_photos: list[Path]) -> None:
    chat = ChatModel(NamedModel("demo"), lambda: hub)
    hub = ModelHub(lambda: PacedScript(lambda request: "通过"), 4)
    service = replace(make_service(tmp_path, Limits(free_bytes=2**62)), chat=chat)
    with closing(hub), client_of(service) as client:
        answer = client.post("/v1/chat/completions", json={"messages": [user(demo_photos[0])]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "disk_full")
