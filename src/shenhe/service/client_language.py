"""The language of whoever sends a request: its refusals are in it, where it asks for one."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

from shenhe.languages import LANGUAGES, Language, current_language

CLIENT_LANGUAGE: Final[ContextVar[Language | None]] = ContextVar("client_language", default=None)


def note_language(accepted: str) -> None:
    """Note what a request accepts, for as long as it is answered.

    Example:
        note_language(request.headers.get("accept-language", ""))

    """
    codes = (part.strip()[:2].casefold() for part in accepted.split(","))
    CLIENT_LANGUAGE.set(next((each for code in codes for each in LANGUAGES if code == each), None))


def for_clients(chinese: Callable[[str], str]) -> Callable[[str], str]:
    """Make the wording of a service: that of the client, else that of the service itself.

    >>> note_language("zh-CN,zh;q=0.9"), for_clients(str.upper)("no such group")
    (None, 'NO SUCH GROUP')
    """

    def translate(message: str) -> str:
        language = CLIENT_LANGUAGE.get() or current_language()
        return chinese(message) if language == "zh" else message

    return translate
