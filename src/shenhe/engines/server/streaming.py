"""A completion that comes in pieces."""

from __future__ import annotations

from typing import Any

from shenhe.engines.server.completions import (
    REASONING,
    Body,
    first_choice,
    plain_text,
    read_json,
)
from shenhe.engines.server.events import Events
from shenhe.engines.server.faults import UselessAnswerError, complaint, torn
from shenhe.secrecy import Secrets


def is_events(start: bytes) -> bool:
    """Whether a body that begins so is made of events."""
    fields = (b":", b"data:", b"event:", b"id:", b"retry:", b"error:")
    return start.lstrip(b"\xef\xbb\xbf\r\n ").startswith(fields)


def read_body(raw: bytes) -> Body:
    """Read a completion, also one that was streamed though nobody asked for that.

    Raises: BadAnswerError, with the server's own words where it tells of an error.
    """
    if is_events(raw):
        whole = Streamed()
        events = Events()
        for event in (*events.feed(raw), *events.end()):
            whole.add(event)
        return whole.body()
    body = read_json(raw)
    if (words := complaint(body)) is not None:
        raise torn(f"an error instead of an answer: {words}")
    if not isinstance(body, dict):
        raise UselessAnswerError("no completion: no JSON object")
    return body


class Streamed:
    """A completion that comes in pieces."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._finish: Any = None
        self._usage: Any = None
        self._reasoned = self._ended = False

    def add(self, event: str) -> str:
        """Take an event, and give the text in it.

        Raises: BadAnswerError, with the server's own words where it tells of an error.
        """
        if self._ended or event.strip() == "[DONE]":
            self._ended = True  # what comes behind the end is no part of the answer
            return ""
        part = read_json(event)
        if (words := complaint(part)) is not None:
            raise UselessAnswerError(f"the server broke off: {words}")
        if not isinstance(part, dict):
            raise UselessAnswerError("an event that is no JSON object")
        self._usage = part.get("usage") or self._usage
        choice = first_choice(part)
        if choice is None or choice.get("index", 0) not in (0, "0", None):
            return ""
        self._finish = choice.get("finish_reason") or self._finish
        delta = choice.get("delta")
        if not isinstance(delta, dict) and not any(self._pieces):
            delta = choice.get("message")  # the whole answer, in one event
        if not isinstance(delta, dict):
            return ""
        self._reasoned |= any(delta.get(name) for name in REASONING)
        piece = plain_text(delta.get("content")) or ""
        self._pieces.append(piece)
        return piece

    def body(self) -> Body:
        """Give the whole, as it would have come in one piece.

        Raises: BadAnswerError if its end is missing.
        """
        if self._finish is None and not self._ended:
            raise torn("the stream ended before the answer did")
        if self._finish is None and not any(self._pieces) and not self._reasoned:
            raise torn("an empty answer: no event of the stream held any of it")
        message = {"content": joined("".join(self._pieces))}
        if self._reasoned:
            message[REASONING[0]] = "..."
        choice = {"message": message, "finish_reason": self._finish}
        return {"choices": [choice], "usage": self._usage}


class Teller:
    """Passes on a text that comes in pieces: no half characters, and nothing of a secret."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets, self._held = secrets, ""

    def feed(self, piece: str) -> str:
        """Take a piece, and give what can be told by now."""
        text = self._secrets.hide(joined(self._held + piece))
        held = self._secrets.partial_match_length(text) or bool(
            text and "\ud800" <= text[-1] <= "\udbff"
        )
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def end(self) -> str:
        """Give what was held back."""
        return self._held


def joined(text: str) -> str:
    """Join halves of characters that came apart."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
