"""Malformed responses of every kind that servers have given, and more.

Each is a function from a complete completion and the head of the request to the bytes of the
response. FINE are malformed in optional fields; LOST hold no answer; AGAIN none on this try.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

Completion = dict[str, Any]
Malformation = Callable[[Completion, bytes], bytes]


def http(
    body: bytes, *headers: str, status: str = "200 OK", kind: str = "application/json"
) -> bytes:
    """Write a response, with its length unless a header says length or chunked."""
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", *headers]
    if not any("ength" in line or "chunked" in line for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def as_json(body: object, *headers: str, status: str = "200 OK") -> bytes:
    return http(json.dumps(body).encode(), *headers, status=status)


def changed(body: Completion, changes: dict[str, object]) -> Completion:
    """Change fields of a body; a field set to ... is removed."""
    return {name: value for name, value in (body | changes).items() if value is not ...}


def whole(**changes: object) -> Malformation:
    """Change fields beside the choices; ... removes one."""

    def write(completion: Completion, _: bytes) -> bytes:
        return as_json(changed(completion, changes))

    return write


def message(**changes: object) -> Malformation:
    def write(completion: Completion, _: bytes) -> bytes:
        completion["choices"][0]["message"] |= changes
        return as_json(completion)

    return write


def choice(**changes: object) -> Malformation:
    def write(completion: Completion, _: bytes) -> bytes:
        completion["choices"][0] |= changes
        return as_json(completion)

    return write


def always(raw: bytes) -> Malformation:
    return lambda completion, head: raw


def packed(pack: Callable[[bytes], bytes], name: str) -> Malformation:
    return lambda completion, head: http(
        pack(json.dumps(completion).encode()), f"Content-Encoding: {name}"
    )


def text_of(completion: Completion) -> str:
    text: str = completion["choices"][0]["message"]["content"]
    return text


def parts(completion: Completion, _: bytes) -> bytes:
    text = text_of(completion)
    content = [
        {"type": "thinking", "thinking": "嗯"},
        {"type": "text", "text": text[:2]},
        {"type": "text", "text": text[2:]},
    ]
    return message(content=content)(completion, b"")


def events(completion: Completion, start: str = "data: ", end: str = "\n") -> list[str]:
    marks = text_of(completion)
    deltas: list[dict[str, Any]] = [{"delta": {"content": mark}} for mark in marks]
    deltas.append({"delta": {}, "finish_reason": "stop"})
    return [f"{start}{json.dumps({'choices': [part]})}{end}{end}" for part in deltas]


def stream(*lines: str) -> bytes:
    return http("".join(lines).encode(), kind="text/event-stream; charset=utf-8")


def length(announced: int, *further: str) -> Malformation:
    return lambda completion, head: http(
        json.dumps(completion).encode(),
        *(f"Content-Length: {count}" for count in (announced, *further)),
    )


def echo(head: bytes) -> str:
    """Return the credentials of a request, as a careless server repeats them."""
    lines = head.decode("latin-1").split("\r\n")
    return next(line.partition(": ")[2] for line in lines if line.startswith("Authorization"))


NAN = float("nan")
FINE: dict[str, Malformation] = {
    "usage_null": whole(usage=None),
    "usage_absent": whole(usage=...),
    "usage_text": whole(usage="many"),
    "usage_odd": whole(
        usage={"prompt_tokens": "9", "completion_tokens": 10**400, "total_tokens": NAN}
    ),
    "usage_negative": whole(usage={"prompt_tokens": -1, "completion_tokens": True}),
    "id_null": whole(id=None, created=None, model=None, object=None),
    "id_absent": whole(id=..., created=..., model=..., object=...),
    "id_odd": whole(id=7, created="now", model=["x"], object={}),
    "id_same": whole(id="chatcmpl-0"),
    "error_null": whole(error=None),
    "error_empty": whole(error={}),
    "logprobs_text": choice(logprobs="none"),
    "reasoned": message(reasoning_content="嗯"),
    "finish_eos": choice(finish_reason="eos_token"),
    "two_choices": lambda c, _: as_json(c | {"choices": [*c["choices"], {"index": 1}]}),
    "parts": parts,
    "bom": lambda c, _: http(b"\xef\xbb\xbf" + json.dumps(c).encode()),
    "utf16": lambda c, _: http(json.dumps(c).encode("utf-16")),
    "plain_kind": lambda c, _: http(json.dumps(c).encode(), kind="text/plain"),
    "chunked": lambda c, _: http(
        b"%x\r\n%s\r\n0\r\n\r\n" % (len(json.dumps(c)), json.dumps(c).encode()),
        "Transfer-Encoding: chunked",
    ),
    "gzip": packed(gzip.compress, "gzip"),
    "deflate": packed(zlib.compress, "deflate"),
    "streamed": lambda c, _: stream(*events(c), "data: [DONE]\n\n"),
    "twice": lambda c, _: as_json(c) + as_json(c),
}
"""Malformed, but complete in every required field."""

LOST: dict[str, tuple[Malformation, str]] = {
    "content_null": (message(content=None, reasoning_content="通过"), "reasoning parser"),
    "content_empty": (message(content="", reasoning="通过"), "reasoning parser"),
    "content_nothing": (message(content=None), "content is null"),
    "content_number": (message(content=7), "content is int"),
    "refusal": (message(content=None, refusal="no"), "refusal"),
    "tool_calls": (message(content=None, tool_calls=[{}]), "tool_calls"),
    "finish_null": (choice(finish_reason=None), "finish_reason None"),
    "streamed_without_finish": (
        lambda c, _: stream(*events(c)[:-1], "data: [DONE]\n\n"),
        "finish_reason None",
    ),
    "finish_filter": (choice(finish_reason="content_filter"), "content_filter"),
    "finish_list": (choice(finish_reason=["stop"]), "finish_reason"),
    "surrogate": (message(content="螺\ud800丝"), "surrogate"),
    "other_model": (whole(model="scripted"), "answered by another model, scripted"),
    "refusal_beside": (message(refusal="I cannot judge"), "the model refuses: I cannot judge"),
    "deep": (always(http(b'{"choices":' + b"[" * 200_000 + b"]" * 200_000 + b"}")), "deeply"),
    "list": (always(as_json([1, 2])), "no JSON object"),
    "bomb": (always(http(gzip.compress(bytes(40 << 20)), "Content-Encoding: gzip")), "16 MiB"),
    "endless": (always(http(b" " * (17 << 20))), "16 MiB"),
}
"""Complete responses without an answer, and the message about each."""

AGAIN: dict[str, tuple[Malformation, str]] = {
    "choices_null": (whole(choices=None), "no choices"),
    "choices_empty": (whole(choices=[]), "no choices"),
    "choices_dict": (whole(choices={"0": {}}), "no choices"),
    "choices_absent": (whole(choices=...), "no choices"),
    "choice_null": (whole(choices=[None]), "no choices"),
    "message_null": (choice(message=None), "no message"),
    "error": (
        always(as_json({"error": {"message": "CUDA out of memory", "code": 500}})),
        "CUDA out",
    ),
    "error_text": (always(as_json({"error": "CUDA out of memory"})), "CUDA out of memory"),
    "error_object": (
        always(as_json({"object": "error", "message": "x\x1b[2J\ny"})),
        "x\\x1b[2J y",
    ),
    "detail": (always(as_json({"detail": "Not now"})), "Not now"),
    "html": (always(http(b"<html>\x1b[31mlogin</html>")), "no JSON"),
    "nothing": (always(http(b"")), "empty answer"),
    "nul": (always(http(bytes(100))), "no JSON"),
    "gbk": (always(http('{"choices": "螺丝"}'.encode("gbk"))), "not UTF-8"),
    "digits": (always(http(b'{"choices": ' + b"9" * 100_000 + b"}")), "no JSON"),
    "torn_json": (lambda c, _: http(json.dumps(c).encode()[:-9]), "no JSON"),
    "status_204": (always(b"HTTP/1.1 204 No Content\r\n\r\n"), "empty answer"),
    "short_length": (length(20), "no "),
    "two_lengths": (length(20, "400"), "no HTTP"),
    "bad_length": (length(0, "x"), "no HTTP"),
    "negative_length": (always(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}"), "no HTTP"),
    "huge_header": (always(http(b"{}", "X: " + "y" * (1 << 20))), "no HTTP"),
    "many_headers": (always(http(b"{}", *(f"X{n}: y" for n in range(5000)))), "no HTTP"),
    "no_http": (always(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "no HTTP"),
    "http_9": (always(b"<html>hello</html>\r\n\r\n"), "no HTTP"),
    "status_text": (always(b"HTTP/1.1 OK 200\r\nContent-Length: 2\r\n\r\n{}"), "no HTTP"),
    "bad_chunk": (always(http(b"zz\r\n{}\r\n", "Transfer-Encoding: chunked")), "no HTTP"),
    "torn_gzip": (packed(lambda raw: gzip.compress(raw)[:-20], "gzip"), "no JSON"),
    "no_gzip": (packed(bytes, "gzip"), "answer"),
    "half_stream": (lambda c, _: stream(*events(c)[:2]), "ended before"),
}
"""Responses after which the request is sent again."""


def top(*logprobs: object, **changes: object) -> Malformation:
    """Report these log-probabilities of 通过 and 不通过."""

    def write(completion: Completion, _: bytes) -> bytes:
        tokens = [
            changed({"token": token, "bytes": list(token.encode()), "logprob": logprob}, changes)
            for token, logprob in zip(("通过", "不通过", "嗯"), logprobs, strict=False)
        ]
        completion["choices"][0]["logprobs"] = {"content": [{"top_logprobs": tokens}]}
        completion["choices"][0]["message"]["content"] = "通过\n理由: 好"
        return as_json(completion)

    return write


def scored(*tokens: object) -> Malformation:
    """Report log-probabilities at tokens; the text is a 通过."""

    def write(completion: Completion, _: bytes) -> bytes:
        write_top = top(-0.01, -5.0)
        write_top(completion, b"")
        (entry,) = completion["choices"][0]["logprobs"]["content"]
        entries = [entry | {"token": token, "logprob": -0.01} for token in tokens]
        completion["choices"][0]["logprobs"]["content"] = entries
        return as_json(completion)

    return write


UNKNOWN: dict[str, Malformation] = {
    "nan": top(NAN, NAN),
    "nan_one": top(-0.01, NAN),
    "nan_other": top(-0.01, -5.0, NAN),
    "infinite": top(-0.01, float("-inf")),
    "infinite_up": top(float("inf"), -1.0),
    "null": top(None, None),
    "text": top("-0.1", "-2.4"),
    "true": top(True, False),
    "probabilities": top(0.9, 0.1),
    "clamped": top(-9999.0, -9999.0),
    "certain_twice": top(0.0, 0.0),
    "nested": top([-0.1], {"v": -2}),
    "huge": top(-(10**400), -1),
    "bad_bytes": top(-0.01, -5.0, bytes=[999]),
    "no_token": top(-0.01, -5.0, bytes=None, token=...),
    "no_top": choice(logprobs={"content": [{"token": "通过", "logprob": -0.1}]}),
    "top_dict": choice(logprobs={"content": [{"top_logprobs": {"通过": -0.1}}]}),
    "top_text": choice(logprobs={"content": [{"top_logprobs": ["通过"]}]}),
    "legacy": choice(logprobs={"tokens": ["通过"], "top_logprobs": [{"通过": -0.1}]}),
    "content_text": choice(logprobs={"content": "通过"}),
    "content_none": choice(logprobs={"content": [None]}),
    "list": choice(logprobs=[-0.1]),
}
UNKNOWN = {f"logprob_{name}": answer for name, answer in UNKNOWN.items()}
"""Log-probabilities that are invalid."""

MORE: dict[str, Malformation] = UNKNOWN | {
    "scored": scored("通过", "\n"),
    "scored_in_part": scored("通", "过"),
    "scored_without_token": scored(None),
    "scored_another": scored("不通过", "\n"),
    "scored_thinking": scored("<think>", "\n"),
    "status_401": always(as_json({"error": {"message": "x"}}, status="401 Unauthorized")),
    "reset": always(b""),
    "held_back": always(http(b"{", "Content-Length: 400")),
    "within": always(http(b"", "Location: /v1/chat/completions/", status="307 Elsewhere")),
    "elsewhere": always(
        http(b"", "Location: http://localhost:9/v1/chat", status="307 Temporary Redirect")
    ),
    "echo_text": lambda c, head: message(content=f"螺丝 {echo(head)}")(c, head),
    "echo_error": lambda c, head: as_json(
        {"error": {"message": "x" * 270 + echo(head)}}, status="400 Bad Request"
    ),
    "echo_html": lambda c, head: http(echo(head).encode() * 50),
    "echo_line": lambda c, head: head,
    "echo_events": lambda c, head: stream(
        *events({"choices": [{"message": {"content": f"螺丝 {echo(head)}!"}}]})
    ),
    "event_null": lambda c, _: stream(
        'data: {"choices": null}\n\n',
        'data: {"choices": [{"delta": null}]}\n\n',
        'data: {"type": "ping"}\n\n',
        *events(c),
        'data: {"choices": [], "usage": {"prompt_tokens": 3}}\n\n',
    ),
    "event_no_space": lambda c, _: stream(*events(c, "data:"), "data:[DONE]\n\n"),
    "event_crlf": lambda c, _: stream("\ufeff: hello\r\n\r\n", *events(c, end="\r\n")),
    "event_cr": lambda c, _: stream(*events(c, "id: 1\revent: x\rdata: ", "\r")),
    "event_lines": lambda c, _: stream(
        *(line.replace('", "', '",\ndata: "').replace("[{", "[\ndata:{") for line in events(c))
    ),
    "event_no_end": lambda c, _: stream("".join(events(c)).rstrip("\n")),
    "event_error": lambda c, _: stream(
        *events(c)[:2], 'data: {"error": {"message": "CUDA out of memory", "code": 500}}\n\n'
    ),
    "event_error_field": lambda c, _: stream(
        *events(c)[:2], 'error: {"code": 500, "message": "CUDA out of memory"}\n\n'
    ),
    "event_error_in_a_list": lambda c, _: stream(
        *events(c)[:2], 'data: [{"error": {"message": "CUDA out of memory"}}]\n\n'
    ),
    "event_error_in_an_error": lambda c, _: stream(
        *events(c)[:2], 'data: {"error": {"error": {"message": "CUDA out of memory"}}}\n\n'
    ),
    "event_error_in_a_choice": lambda c, _: stream(
        *events(c)[:2], 'data: {"choices": [{"error": {"message": "CUDA out of memory"}}]}\n\n'
    ),
    "event_of_the_end": lambda c, _: stream("data: [DONE]\n\n"),
    "event_behind_the_end": lambda c, _: stream(
        *events(c), "data: [DONE]\n\n", 'data: {"error": "late"}\n\n'
    ),
    "event_message": lambda c, _: stream(f"data: {json.dumps(c)}\n\n", "data: [DONE]\n\n"),
    "event_message_again": lambda c, _: stream(*events(c), f"data: {json.dumps(c)}\n\n"),
    "event_pair": lambda c, _: stream(
        'data: {"choices": [{"delta": {"content": "螺\\ud83d"}}]}\n\n',
        'data: {"choices": [{"delta": {"content": "\\ude00丝"}, "finish_reason": "stop"}]}\n\n',
    ),
    "event_torn": lambda c, _: stream(*events(c)[:2], 'data: {"choices": [\n\n'),
    "event_whole": lambda c, _: as_json(c),
    "event_whole_plain": lambda c, _: http(json.dumps(c).encode(), kind="text/event-stream"),
    "event_other_choice": lambda c, _: stream(
        'data: {"choices": [{"index": 1, "delta": {"content": "!"}}]}\n\n', *events(c)
    ),
}
