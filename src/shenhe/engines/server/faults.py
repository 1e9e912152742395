"""What can come instead of an answer, and the words in which it is told: one harmless line."""

from __future__ import annotations

from typing import Any, Final

from shenhe.errors import MAX_FOREIGN_WORDS, ItemError
from shenhe.printable import printable
from shenhe.secrecy import Secrets

TORN_TRIES: Final = 8
"""So often a question is asked whose answers come torn: that passes."""
SAME_TRIES: Final = 3
"""So often one whose answers are whole, and useless: a model that is asked the same says the same
again as a rule."""


class UnreachedError(ItemError):
    """Nobody answered: no connection, one that broke, or no answer in time."""

    def __init__(self, message: str, *, late: bool = False) -> None:
        super().__init__("server_failed", message)
        self.late = late


class BadAnswerError(ItemError):
    """Something came that is no answer; it is worth so many `tries`."""

    tries = TORN_TRIES


class UselessAnswerError(BadAnswerError):
    """A whole answer that holds none, or one that nobody could write down."""

    tries = SAME_TRIES

    def __init__(self, message: str) -> None:
        super().__init__("bad_answer", message)


class AgainError(Exception):
    """What may pass.

    `told` is how long the server says to wait, `no_fault` that it may be gone altogether,
    `no_way_in` that it lets nobody in; `most` is how often that may be.
    """

    def __init__(
        self,
        why: str,
        told: str | None = None,
        *,
        no_fault: bool = False,
        no_way_in: bool = False,
        most: int | None = None,
    ) -> None:
        super().__init__(why)
        self.told, self.most = told, most
        self.no_fault, self.no_way_in = no_fault, no_way_in


def torn(message: str) -> BadAnswerError:
    """Make the error of an answer that did not come whole."""
    return BadAnswerError("bad_answer", message)


def one_line(text: object, secrets: Secrets) -> str:
    """Tell what somebody else said: in one line, not too long, without secrets or controls."""
    line = " ".join(secrets.hide(str(text)).split())
    return printable(line[:MAX_FOREIGN_WORDS])


def complaint(body: Any) -> str | None:
    """Find what a server complains of in a body, in any of the shapes that servers use.

    >>> complaint({"error": {"message": "CUDA out of memory", "code": 500}})
    'CUDA out of memory'
    """
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    if not isinstance(body, dict):
        return None
    error = body.get("error") or _of_choice(body)
    if isinstance(error, dict) and error.get("error"):  # handed on by a proxy, as it was
        error = error["error"]
    if isinstance(error, str) and error:
        return error
    if isinstance(error, dict) and error:
        return _words(error, *_ERROR_WORDS) or str(error)
    if error or body.get("object") == "error":
        return _words(body, *_ERROR_WORDS) or str(error)
    return None if "choices" in body else _words(body, "message", "detail")


def _of_choice(body: dict[str, Any]) -> Any:
    """Give the error that stands in the first choice, as proxies hand one on."""
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first.get("error") if isinstance(first, dict) else None


_ERROR_WORDS = ("message", "detail", "msg", "reason", "type", "code")


def _words(body: dict[str, Any], *names: str) -> str | None:
    return next((body[name] for name in names if isinstance(body.get(name), str)), None)
