"""Refusals: what a request is told that is not done, as one JSON error in OpenAI's form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from shenhe.errors import ShenheError
from shenhe.printable import printable, worded

TYPES: Final[Mapping[int, str]] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
"""Types of errors as OpenAI names them, by status; others are of the request or of the server."""
MAX_MESSAGE: Final = 1000
"""Length that a message is cut to: it may quote what was sent. Units: characters."""


class RefusedError(ShenheError):
    """A request that is refused: its status, a stable word for programs, and a line for people.

    `retry_after` says when the same may be accepted; None where waiting does not help.
    Units: seconds.

    Example:
        raise RefusedError(413, "too_many_photos", "more than 60 photos in one group")

    """

    def __init__(
        self, status: int, code: str, message: str, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.retry_after = status, code, retry_after

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the answer; `Retry-After` is a whole number, rounded up."""
        headers = {"Connection": "close"} if self.status in (408, 413) else {}
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if self.retry_after is not None:
            headers["Retry-After"] = str(max(1, -int(-self.retry_after // 1)))
        return headers

    @property
    def body(self) -> dict[str, dict[str, str | None]]:
        """The body of the answer."""
        return error_body(self.status, self.code, str(self))


def error_body(status: int, code: str, message: str) -> dict[str, dict[str, str | None]]:
    """Make the body of an answer to what was not done; its message, not `param`, names the thing.

    >>> error_body(404, "unknown_group", "no such group")["error"]["type"]
    'not_found_error'
    """
    kind = TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    text = printable(worded(message)).replace("\n", " ")[:MAX_MESSAGE]
    return {"error": {"message": text, "type": kind, "param": None, "code": code}}
