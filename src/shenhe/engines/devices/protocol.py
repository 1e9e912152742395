"""What an engine and the worker processes of its devices send each other, pickled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from shenhe.engines.base import EngineSpec, ServingEngine
from shenhe.engines.options import EngineOptions
from shenhe.errors import ShenheError, Spelling
from shenhe.messages import Request, Served

CreateEngineHere = Callable[[EngineSpec[EngineOptions]], ServingEngine]


@dataclass(frozen=True, slots=True)
class Start:
    """To a worker, once: the engine to load."""

    spec: EngineSpec[EngineOptions]
    create: CreateEngineHere
    spelling: Spelling


@dataclass(frozen=True, slots=True)
class Ask:
    """To a worker: a request of a call."""

    call: int
    request: Request


@dataclass(frozen=True, slots=True)
class Stop:
    """To a worker: nobody waits for the request of this key any more."""

    key: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """To a worker: nobody waits for this call, nor for earlier ones, any more."""

    call: int


@dataclass(frozen=True, slots=True)
class Ready:
    """From a worker: the model is loaded."""

    fingerprint: str


@dataclass(frozen=True, slots=True)
class Result:
    """From a worker: what became of a request, or for a streamed one a piece."""

    call: int
    result: Served


@dataclass(frozen=True, slots=True)
class Failed:
    """From a worker: an error of a call, or of the start, which another worker would have too."""

    call: int
    error: ShenheError


@dataclass(frozen=True, slots=True)
class Warned:
    """From a worker: a warning for the user."""

    text: str


ToWorker = Start | Ask | Stop | Cancel
FromWorker = Ready | Result | Failed | Warned
