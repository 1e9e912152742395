"""Chat over a port of this machine: a service with an engine, and requests as they are sent."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from shenhe.checkpoints.inspect import find_checkpoint
from shenhe.checkpoints.processor import read_budget
from shenhe.engines.base import ServingEngine
from shenhe.engines.cancelling import cancelled
from shenhe.messages import Piece, Request, Served
from shenhe.service.chat.served import ChatLimits, ChatModel, NamedModel
from shenhe.service.hub import ModelHub
from shenhe.service.limits import Limits
from shenhe.web.connections import Bounds
from tests.service.apis import Running, make_service, running

Body = dict[str, Any]
QUESTION: Body = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 4}


@contextmanager
def chatting(
    data_dir: Path,
    engine: ServingEngine,
    limits: ChatLimits | None = None,
    allow: Sequence[str] = (),
    bounds: Bounds | None = None,
) -> Iterator[Running]:
    """Answer chat with an engine, over a port of this machine."""
    hub = ModelHub(lambda: engine, 4)
    service = make_service(data_dir, Limits(free_bytes=0, photos=4), allow)
    budget = read_budget(find_checkpoint("demo"))
    chat = ChatModel(NamedModel("demo", budget), lambda: hub, limits=limits or ChatLimits())
    try:
        with running(replace(service, chat=chat), bounds=bounds) as served:
            yield served
    finally:
        hub.close()
        service.store.close()


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


def post(served: Running, body: Body | bytes, **headers: str) -> tuple[int, Body]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {served.host}:{served.port}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    answer = served.send(head.encode() + data)
    return answer.status, answer.body


def asking_of(url: object) -> Body:
    part = {"type": "image_url", "image_url": {"url": url}}
    return {"messages": [{"role": "user", "content": [part]}], "max_tokens": 4}


class Slow(ServingEngine):
    """Writes the same text again and again, and never ends by itself."""

    fingerprint = "slow"

    def __init__(self, text: str = "字") -> None:
        self.text = text
        self.cancelled: list[str] = []

    def serve(self, requests: Iterable[Request | None]) -> Generator[Served, None, None]:
        running: dict[str, Request] = {}
        for request in requests:
            if request is not None:
                running[request.key] = request
            for key in [key for key in running if key in self.cancelled]:
                yield cancelled(running.pop(key))
            yield from (Piece(key, self.text) for key, r in running.items() if r.streamed)
            time.sleep(0.005)

    def cancel(self, key: str) -> None:
        self.cancelled.append(key)
