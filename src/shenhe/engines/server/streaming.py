"""Completions that arrive in pieces."""

from __future__ import annotations

from shenhe.engines.server.completions import (
    REASONING,
    Body,
    first_choice,
    plain_text,
    read_json,
)
from shenhe.engines.server.events import EventParser
from shenhe.engines.server.faults import UselessAnswerError, error_message, torn_answer
from shenhe.secrecy import Secrets


def starts_events(start: bytes) -> bool:
    """Whether a body that starts like this is an event stream."""
    fields = (b":", b"data:", b"event:", b"id:", b"retry:", b"error:")
    return start.lstrip(b"\xef\xbb\xbf\r\n ").startswith(fields)


def read_body(raw: bytes) -> Body:
    """Read a completion, including one that was streamed without being asked to.

    Raises: BadAnswerError, with the server's own error message if there is one.
    """
    if starts_events(raw):
        completion, parser = StreamedCompletion(), EventParser()
        for event in (*parser.feed(raw), *parser.end()):
            completion.add(event)
        return completion.body()
    body = read_json(raw)
    if (message := error_message(body)) is not None:
        raise torn_answer(f"an error instead of an answer: {message}")
    if not isinstance(body, dict):
        raise UselessAnswerError("no completion: no JSON object")
    return body


class StreamedCompletion:
    """A completion assembled from the events of a stream."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._finish: object = None
        self._stop_reason: object = None
        self._usage: object = None
        self._reasoned = self._ended = False

    def add(self, event: str) -> str:
        """Take an event, and return its text.

        Raises: BadAnswerError, with the server's own error message if there is one.
        """
        if self._ended or event.strip() == "[DONE]":
            self._ended = True  # anything behind the end is no part of the answer
            return ""
        chunk = read_json(event)
        if (message := error_message(chunk)) is not None:
            raise UselessAnswerError(f"the server broke off: {message}")
        if not isinstance(chunk, dict):
            raise UselessAnswerError("an event that is no JSON object")
        self._usage = chunk.get("usage") or self._usage
        choice = first_choice(chunk)
        if choice is None or choice.get("index", 0) not in (0, "0", None):
            return ""
        self._finish = choice.get("finish_reason") or self._finish
        self._stop_reason = choice.get("stop_reason") or self._stop_reason
        delta = choice.get("delta")
        if not isinstance(delta, dict) and not any(self._pieces):
            delta = choice.get("message")  # the whole answer in one event
        if not isinstance(delta, dict):
            return ""
        self._reasoned |= any(delta.get(name) for name in REASONING)
        piece = plain_text(delta.get("content")) or ""
        self._pieces.append(piece)
        return piece

    def body(self) -> Body:
        """Return the whole completion, as without streaming.

        Raises: BadAnswerError if its end is missing.
        """
        if self._finish is None and not self._ended:
            raise torn_answer("the stream ended before the answer did")
        if self._finish is None and not any(self._pieces) and not self._reasoned:
            raise torn_answer("an empty answer: no event of the stream held any of it")
        message = {"content": join_surrogates("".join(self._pieces))}
        if self._reasoned:
            message[REASONING[0]] = "..."
        choice = {
            "message": message,
            "finish_reason": self._finish,
            "stop_reason": self._stop_reason,
        }
        return {"choices": [choice], "usage": self._usage}


class StreamRedactor:
    """Passes on streamed text without half characters and without secrets."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets, self._pending = secrets, ""

    def feed(self, piece: str) -> str:
        """Take a piece, and return the text that is safe to show."""
        text = self._secrets.hide(join_surrogates(self._pending + piece))
        kept = self._secrets.partial_match_length(text) or bool(
            text and "\ud800" <= text[-1] <= "\udbff"
        )
        self._pending = text[len(text) - kept :]
        return text[: len(text) - kept]

    def end(self) -> str:
        """Return the text that was kept back."""
        return self._pending


def join_surrogates(text: str) -> str:
    """Join surrogate pairs that arrived apart."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
