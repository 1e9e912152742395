"""An OpenAI-compatible server without a model, which can fail in every way that servers do.

    python -m tests.servers.scripted [--port N] [--faults 0.3] [--form regex] [...]

Answers a prompt with photos by a line, and one without by a verdict, both made of the question
alone. Asked for a model of the name of an oddity it answers oddly; `probe-NAME` is odd only in what
is asked first, `half-NAME` to every second question, `once-NAME` to every question but only once.
Prints its port; GET /counts tells what it was asked, GET /last the last question. Plain sockets: a
reset and a body that ends too early are what frameworks take care never to send.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import random
import re
import signal
import socket
import struct
from collections import Counter
from typing import Any

from tests.servers import malformed

FAULTS = ("429", "500", "reset", "stall", "truncated", "not_json", "no_choices")
MODEL = "scripted"
ODD = (
    malformed.FINE
    | {name: answer for name, (answer, _) in (malformed.LOST | malformed.AGAIN).items()}
    | malformed.MORE
)
KINDS = PROBE, HALF, ONCE = "probe-", "half-", "once-"
PROBE_TOKENS = 16
KNOWN = frozenset({"model", "messages", "max_tokens", "temperature", "top_p", "seed", "stream"})
EXTRAS = frozenset({"skip_special_tokens", "repetition_penalty"})


class Server:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.random = random.Random(options.seed)
        self.counts: Counter[str] = Counter()
        self.number = 0
        self.seen = set[str]()
        self.last: dict[str, Any] = {}
        self.under_way = self.most = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
                body = await reader.readexactly(int(length[1])) if length else b""
                if self.options.key and f"Bearer {self.options.key}".encode() not in head:
                    self.send(writer, {"error": {"message": "bad key"}}, "401 Unauthorized")
                elif not await self.answer(head, body, writer):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def answer(self, head: bytes, body: bytes, writer: asyncio.StreamWriter) -> bool:
        """Answer once; whether the connection stays."""
        path = head.split(b" ", 2)[1].decode()
        if path.endswith("/models"):
            names = [MODEL]
            if self.options.odd:
                names += (kind + name for kind in ("", *KINDS) for name in ODD)
            entries = [{"id": name, "object": "model", "owned_by": "tests"} for name in names]
            listing = {"null": None, "empty": [], "odd": [None, 7, {"id": 7}, {"x": "y"}, "z"]}
            return self.send(writer, {"data": listing.get(self.options.listing, entries)})
        if path == "/counts":
            return self.send(writer, dict(self.counts) | {"most": self.most})
        if path == "/last":
            return self.send(writer, self.last)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            if self.options.delay:
                await asyncio.sleep(self.options.delay)
            return await self.complete(head, body, writer)
        finally:
            self.under_way -= 1

    async def complete(self, head: bytes, body: bytes, writer: asyncio.StreamWriter) -> bool:
        options, asked = self.options, json.loads(body)
        known = set(KNOWN)
        if options.form:
            known |= {options.form, *EXTRAS, "logprobs", "top_logprobs"}
        if unknown := asked.keys() - known:
            self.counts["refused"] += 1
            message = f"unexpected keys: {sorted(unknown)}"
            return self.send(writer, {"error": {"message": message}}, "400 Bad Request")
        self.last = asked
        self.counts["asked"] += 1
        again = head.split(b" ")[1].endswith(b"/")  # it was sent on to here
        if not again and (oddity := self.oddity(asked)):
            writer.write(oddity(self.completion(asked), head))
            return bool(asked["model"] == "held_back")
        if options.status and b"image_url" in body and asked["max_tokens"] > 1:
            later = f"Retry-After: {options.retry_after}\r\n" if options.retry_after else ""
            refusal = {"error": {"message": "told to"}}
            return self.send(writer, refusal, f"{options.status} Status", later)
        if asked.get("stream"):
            return self.stream(writer, self.completion(asked))
        fault = None
        if self.random.random() < self.options.faults:
            fault = self.random.choice(FAULTS)
            self.counts[fault] += 1
        if fault in ("429", "500"):
            later = "Retry-After: 0.05\r\n" if fault == "429" else ""
            return self.send(writer, {"error": {"message": "not now"}}, f"{fault} Error", later)
        if fault == "reset":
            held = writer.get_extra_info("socket")
            held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        if fault == "stall":
            await asyncio.sleep(self.options.stall)
        completion = self.completion(asked)
        if fault == "no_choices":
            completion["choices"] = []
        if fault is None:
            self.counts["answered"] += 1
        cut = 20 if fault == "truncated" else 0
        return self.send(writer, completion, cut=cut, torn=fault == "not_json")

    def oddity(self, asked: dict[str, Any]) -> malformed.Odd | None:
        """Find in what way a question is answered oddly, if at all."""
        probe, name = asked["max_tokens"] <= PROBE_TOKENS, asked["model"]
        question = json.dumps(asked, sort_keys=True)
        kind = next((kind for kind in KINDS if name.startswith(kind)), "")
        due = not probe
        if kind == PROBE:
            due = probe
        elif kind == HALF:
            due = not probe and hashlib.sha256(question.encode()).digest()[0] % 2 == 1
        elif kind == ONCE:
            due = question not in self.seen
            self.seen.add(question)
        return ODD.get(name.removeprefix(kind)) if due else None

    def completion(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.number += 1
        content = json.dumps(asked["messages"], sort_keys=True)
        digest = hashlib.sha256(content.encode()).hexdigest()
        photos = content.count("image_url")
        passed = "通过" if int(digest[0], 16) < 8 else "不通过"
        text = f"螺丝 {digest[:6]}" if photos else f"{passed}\n理由: {digest[:6]}"
        held = asked.get(self.options.form)
        if held and (regex := held if isinstance(held, str) else held["regex"]) == "ok7ok7":
            text = regex
        finish = "length" if asked["max_tokens"] == 7 else "stop"
        likely = [
            {"token": token, "logprob": -0.1 - at, "bytes": list(token.encode())}
            for at, token in enumerate(("通过", "通", "嗯"))
        ]
        logprobs = {"content": [{"top_logprobs": likely}]} if asked.get("logprobs") else None
        return {
            "id": f"chatcmpl-{self.number}",
            "model": MODEL,
            "object": "chat.completion",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text},
                    "finish_reason": finish,
                    "logprobs": logprobs,
                }
            ],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        }

    def stream(self, writer: asyncio.StreamWriter, completion: dict[str, Any]) -> bool:
        """Send a completion in pieces of one character."""
        (choice,) = completion["choices"]
        parts = [{"delta": {"content": mark}} for mark in choice["message"]["content"]]
        parts.append({"delta": {}, "finish_reason": choice["finish_reason"]})
        lines = [json.dumps({"id": completion["id"], "choices": [part]}) for part in parts]
        body = "".join(f"data: {line}\n\n" for line in [*lines, "[DONE]"]).encode()
        head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        return True

    def send(
        self,
        writer: asyncio.StreamWriter,
        body: dict[str, Any],
        status: str = "200 OK",
        more: str = "",
        *,
        cut: int = 0,
        torn: bool = False,
    ) -> bool:
        text = json.dumps(body).encode()
        if torn:
            text = text[: len(text) // 2]
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{more}"
        writer.write(
            f"{head}Content-Length: {len(text)}\r\n\r\n".encode() + text[: len(text) - cut]
        )
        return not cut


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--faults", type=float, default=0.0)
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--stall", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--form", help="what holds an answer to a regular expression here")
    parser.add_argument("--key", help="the only key that opens")
    parser.add_argument("--status", type=int, help="answer every photo by this status")
    parser.add_argument("--listing", help="how the list of models cannot be read")
    parser.add_argument("--odd", action="store_true", help="list the models that answer oddly")
    parser.add_argument("--retry-after", help="what that says of when to come again")
    server = Server(parser.parse_args())
    listening = await asyncio.start_server(
        server.serve, "127.0.0.1", server.options.port, limit=1 << 26
    )
    print(listening.sockets[0].getsockname()[1], flush=True)
    # Whoever is still connected is left standing, as by any server that is killed.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, os._exit, 0)
    await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
