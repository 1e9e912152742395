"""The model that answers chat: its name, the hub behind it, and what it takes at most."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from shenhe.messages import Sampling
from shenhe.photos import PixelBudget
from shenhe.service.chat.trials import FormTrials
from shenhe.service.hub import ModelHub
from shenhe.service.refusals import RefusedError

BUSY_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class ChatLimits:
    """Limits of a chat request, and of all that are being received at once.

    Units: `body_bytes` and `held_bytes` in bytes, `text` in characters, `grammar` in characters.

    Example:
        ChatLimits(new_tokens=4096)

    """

    body_bytes: int = 100_000_000
    held_bytes: int = 400_000_000
    text: int = 100_000
    grammar: int = 1_000_000
    new_tokens: int = 16_384
    usual_new_tokens: int = 2048
    waiting: int = 2000


class BodyRoom:
    """Memory for bodies that are being received: what does not fit is told to come again.

    >>> room = BodyRoom(100)
    >>> with room.taken(60):
    ...     room.used
    60
    """

    def __init__(self, size: int) -> None:
        """Units: bytes."""
        self._size, self.used = size, 0
        self._lock = threading.Lock()

    @contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Hold room for a body.

        Raises: RefusedError where there is none at the moment.
        """
        with self._lock:
            if self.used and self.used + size > self._size:
                problem = "too many photos are being received at once; ask again"
                raise RefusedError(429, "busy", problem, BUSY_SECONDS)
            self.used += size
        try:
            yield
        finally:
            with self._lock:
                self.used -= size


class NamedModel(NamedTuple):
    """The name of a checkpoint, and its budget of photos, None where the engine does not tell."""

    name: str
    budget: PixelBudget | None = None


@dataclass(frozen=True, slots=True)
class ChatModel:
    """A model as clients of chat see it.

    `find_hub` gives the hub that answers now, `find_successor` what its checkpoint is called, if
    another one has taken over from `first`. `sampling` is what holds where a client says nothing of
    it.

    Example:
        ChatModel(NamedModel("qwen3-vl-4b"), lambda: hub)

    """

    first: NamedModel
    find_hub: Callable[[], ModelHub]
    sampling: Sampling = field(default_factory=Sampling)
    find_successor: Callable[[], NamedModel | None] = lambda: None
    limits: ChatLimits = field(default_factory=ChatLimits)
    began: int = field(default_factory=lambda: int(time.time()))
    room: BodyRoom = field(init=False)
    trials: FormTrials = field(default_factory=FormTrials)
    _names: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Make room for bodies."""
        object.__setattr__(self, "room", BodyRoom(self.limits.held_bytes))
        self._names.add(self.first.name)

    @property
    def now(self) -> NamedModel:
        """The checkpoint that answers now."""
        now = self.find_successor() or self.first
        self._names.add(now.name)
        return now

    def check_name(self, name: str | None) -> None:
        """Refuse a request to another model.

        The name of one that another took over from still counts: its clients go on, and read in
        the answer which one gave it.
        Raises: RefusedError.
        """
        now = self.now
        if name and name not in self._names:
            problem = f"there is no model {str(name)[:200]!r} here; it has {now.name!r}"
            raise RefusedError(404, "model_not_found", problem)

    @property
    def listed(self) -> dict[str, object]:
        """The entry of the model in the list of models."""
        now = self.now
        entry: dict[str, object] = {
            "id": now.name,
            "object": "model",
            "created": self.began,
            "owned_by": "shenhe",
            "fingerprint": self.find_hub().fingerprint,
        }
        if now.budget is not None:
            entry |= {"min_pixels": now.budget.min_pixels, "max_pixels": now.budget.max_pixels}
        return entry
