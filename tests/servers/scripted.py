"""An OpenAI-compatible server without a model, which can fail in every way that servers do.

    python -m tests.servers.scripted [--port N] [--faults 0.3] [--form regex] [...]

Answers a prompt with photos by a line, and one without by a verdict, both derived from the request.
A model named like a malformation answers with it; `probe-NAME` does so to probes alone, `half-NAME`
to half of the requests, `once-NAME` to each request once. Prints its port; GET /counts returns the
counts of requests, GET /last the last one. Plain sockets: frameworks never send a reset, or a body
that ends too early.
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
MALFORMATIONS = (
    malformed.FINE
    | {name: answer for name, (answer, _) in (malformed.LOST | malformed.AGAIN).items()}
    | malformed.MORE
)
KINDS = PROBE, HALF, ONCE = "probe-", "half-", "once-"
PROBE_TOKENS, PROBE_TEXT = 16, "ok7ok7"
FIELDS = frozenset({"model", "messages", "max_tokens", "temperature", "top_p", "seed", "stream"})
EXTRAS = frozenset({"skip_special_tokens", "repetition_penalty"})
OF_LLAMA_CPP = frozenset({"repeat_penalty", "repeat_last_n", "top_k", "min_p"})


class Server:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.random = random.Random(options.seed)
        self.counts: Counter[str] = Counter()
        self.number = 0
        self.answered = set[str]()
        self.last: dict[str, Any] = {}
        self.active = self.max_active = 0

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
        """Answer one request, and return whether the connection stays."""
        path = head.split(b" ", 2)[1].decode()
        if path.endswith("/models"):
            names = [MODEL]
            if self.options.odd:
                names += (kind + name for kind in ("", *KINDS) for name in MALFORMATIONS)
            own = {"object": "model", "owned_by": self.options.owner}
            entries = [{"id": name} | own | json.loads(self.options.entry) for name in names]
            listing = {"null": None, "empty": [], "odd": [None, 7, {"id": 7}, {"x": "y"}, "z"]}
            return self.send(writer, {"data": listing.get(self.options.listing, entries)})
        if path in ("/props", "/get_model_info") and self.options.told:
            return self.send(writer, json.loads(self.options.told))
        if path == "/counts":
            return self.send(writer, dict(self.counts) | {"most": self.max_active})
        if path == "/last":
            return self.send(writer, self.last)
        self.active += 1
        self.max_active = max(self.max_active, self.active)
        try:
            if self.options.delay:
                await asyncio.sleep(self.options.delay)
            return await self.complete(head, body, writer)
        finally:
            self.active -= 1

    async def complete(self, head: bytes, body: bytes, writer: asyncio.StreamWriter) -> bool:
        options, request = self.options, json.loads(body)
        accepted = set(FIELDS)
        if options.form:
            accepted |= {options.form, *EXTRAS, "logprobs", "top_logprobs"}
        if options.owner == "llamacpp":
            accepted |= OF_LLAMA_CPP
        if unknown := request.keys() - accepted:
            self.counts["refused"] += 1
            message = f"unexpected keys: {sorted(unknown)}"
            return self.send(writer, {"error": {"message": message}}, "400 Bad Request")
        self.last = request
        self.counts["asked"] += 1
        again = head.split(b" ")[1].endswith(b"/")  # after a redirect
        if not again and (malform := self.malformation(request)):
            writer.write(malform(self.completion(request), head))
            return bool(request["model"] == "held_back")
        if options.max_length and _text_length(request) > options.max_length:
            refusal = {"error": {"message": "longer than the maximum model length"}}
            return self.send(writer, refusal, "400 Bad Request")
        if options.status and b"image_url" in body and request["max_tokens"] > 1:
            header = f"Retry-After: {options.retry_after}\r\n" if options.retry_after else ""
            refusal = {"error": {"message": "told to"}}
            return self.send(writer, refusal, f"{options.status} Status", header)
        if request.get("stream"):
            return self.stream(writer, self.completion(request))
        fault = None
        if self.random.random() < self.options.faults:
            fault = self.random.choice(FAULTS)
            self.counts[fault] += 1
        if fault in ("429", "500"):
            header = "Retry-After: 0.05\r\n" if fault == "429" else ""
            return self.send(writer, {"error": {"message": "not now"}}, f"{fault} Error", header)
        if fault == "reset":
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        if fault == "stall":
            await asyncio.sleep(self.options.stall)
        completion = self.completion(request)
        if fault == "no_choices":
            completion["choices"] = []
        if fault is None:
            self.counts["answered"] += 1
        cut = 20 if fault == "truncated" else 0
        return self.send(writer, completion, cut=cut, torn=fault == "not_json")

    def malformation(self, request: dict[str, Any]) -> malformed.Malformation | None:
        """Find the malformation of a response, if any."""
        probe, name = request["max_tokens"] <= PROBE_TOKENS, request["model"]
        content = json.dumps(request, sort_keys=True)
        kind = next((kind for kind in KINDS if name.startswith(kind)), "")
        due = not probe
        if kind == PROBE:
            due = probe
        elif kind == HALF:
            due = not probe and hashlib.sha256(content.encode()).digest()[0] % 2 == 1
        elif kind == ONCE:
            due = content not in self.answered
            self.answered.add(content)
        return MALFORMATIONS.get(name.removeprefix(kind)) if due else None

    def completion(self, request: dict[str, Any]) -> dict[str, Any]:
        self.number += 1
        content = json.dumps(request["messages"], sort_keys=True)
        digest = hashlib.sha256(content.encode()).hexdigest()
        photos = content.count("image_url")
        ruling = "通过" if int(digest[0], 16) < 8 else "不通过"
        line = f"BBU设备/华为,显示完整,无需安装×1，标签/{digest[:6]}×1"
        text = line if photos else f"{ruling}\n理由: {digest[:6]}"
        constraint = request.get(self.options.form)
        regex = constraint["regex"] if isinstance(constraint, dict) else constraint
        finish = "length" if request["max_tokens"] == 7 else "stop"
        if regex in (PROBE_TEXT, f'root ::= "{PROBE_TEXT}"'):
            text = PROBE_TEXT + self.options.behind
            finish = "length" if self.options.behind else "stop"
        top_tokens = [
            {"token": token, "logprob": -0.1 - at, "bytes": list(token.encode())}
            for at, token in enumerate(("通过", "通", "嗯"))
        ]
        logprobs = {"content": [{"top_logprobs": top_tokens}]} if request.get("logprobs") else None
        return {
            "id": f"chatcmpl-{self.number}",
            "model": request["model"],
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
        parts = [{"delta": {"content": character}} for character in choice["message"]["content"]]
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
        headers: str = "",
        *,
        cut: int = 0,
        torn: bool = False,
    ) -> bool:
        text = json.dumps(body).encode()
        if torn:
            text = text[: len(text) // 2]
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{headers}"
        writer.write(
            f"{head}Content-Length: {len(text)}\r\n\r\n".encode() + text[: len(text) - cut]
        )
        return not cut


def _text_length(request: dict[str, Any]) -> int:
    """Count the characters of a prompt, photos aside."""
    contents = [message["content"] for message in request["messages"]]
    return sum(len(content) for content in contents if isinstance(content, str))


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--faults", type=float, default=0.0)
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--stall", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--form", help="the field that constrains an answer to a regex")
    parser.add_argument("--owner", default="tests", help="whose models they are said to be")
    parser.add_argument("--key", help="the only valid key")
    parser.add_argument("--status", type=int, help="answer every photo with this status")
    parser.add_argument("--max-length", type=int, help="refuse a prompt of more characters")
    parser.add_argument("--listing", help="how the list of models is malformed")
    parser.add_argument("--entry", default="{}", help="JSON of a model's entry in the list")
    parser.add_argument(
        "--told", help="JSON of what it tells elsewhere, as llama.cpp and SGLang do"
    )
    parser.add_argument("--behind", default="", help="what an answer has behind its grammar's end")
    parser.add_argument("--odd", action="store_true", help="list the models of malformations")
    parser.add_argument("--retry-after", help="the Retry-After of that status")
    server = Server(parser.parse_args())
    listening = await asyncio.start_server(
        server.serve, "127.0.0.1", server.options.port, limit=1 << 26
    )
    print(listening.sockets[0].getsockname()[1], flush=True)
    # Open connections are dropped, as when a server is killed.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, os._exit, 0)
    await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
