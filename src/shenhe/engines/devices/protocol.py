"""What an engine and the worker processes of its devices send each other, pickled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from shenhe.engines.base import EngineSpec, PacedEngine
from shenhe.engines.options import EngineOptions
from shenhe.errors import ShenheError, Spelling
from shenhe.messages import Answer, Request, RequestFailed

CreatePacedEngine = Callable[[EngineSpec[EngineOptions]], PacedEngine]


@dataclass(frozen=True, slots=True)
class Start:
    """To a worker, once: the engine to load."""

    spec: EngineSpec[EngineOptions]
    create: CreatePacedEngine
    spelling: Spelling


@dataclass(frozen=True, slots=True)
class Ask:
    """To a worker: a request of a call of `answer`, or of one of `stream`."""

    call: int
    request: Request
    streamed: bool = False


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
    """From a worker: what became of a request; for a streamed one, behind its last piece."""

    call: int
    result: Answer | RequestFailed


@dataclass(frozen=True, slots=True)
class Piece:
    """From a worker: a piece of a streamed answer."""

    call: int
    text: str


@dataclass(frozen=True, slots=True)
class Failed:
    """From a worker: an error of a call, or of the start, which another worker would have too."""

    call: int
    error: ShenheError


@dataclass(frozen=True, slots=True)
class Warned:
    """From a worker: a warning for the user."""

    text: str


ToWorker = Start | Ask | Cancel
FromWorker = Ready | Result | Piece | Failed | Warned
