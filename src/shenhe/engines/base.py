"""The interface of every engine, and the spec that one is created from."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import fields
from typing import Generic, Protocol, TypeGuard, TypeVar, runtime_checkable

from shenhe.engines.options import EngineOptions, ModelOptions, OptionsType
from shenhe.messages import Answer, Request, RequestFailed
from shenhe.options import option_class

Kind = TypeVar("Kind", bound=EngineOptions)

RETRY_TEMPERATURES = (0.0, 0.3, 0.6, 0.9)
"""Minimum temperature of attempt n: greedy decoding would repeat the malformed text."""


@option_class
class EngineSpec(ModelOptions, Generic[OptionsType]):
    """A model and the engine that runs it; the type of `engine` says which engine.

    Example:
        spec = EngineSpec(model="demo", adapters=("demo",), engine=LocalOptions(dtype="float32"))

    """

    engine: OptionsType

    def __post_init__(self) -> None:
        """Refuse values that the engine cannot honour.

        Raises: OptionError.
        """
        self.check_model()
        self.engine.check()

    def temperature_of(self, request: Request) -> float:
        """The sampling temperature of a request."""
        retry = RETRY_TEMPERATURES[min(request.attempt, len(RETRY_TEMPERATURES) - 1)]
        return max(self.temperature, request.temperature, retry)


def engine_spec(model: ModelOptions, engine: Kind) -> EngineSpec[Kind]:
    """Put a model, or that of another spec, and an engine together.

    Raises: OptionError for a value that no engine can honour.
    """
    values = {field.name: getattr(model, field.name) for field in fields(ModelOptions)}
    return EngineSpec(**values, engine=engine)


def is_for(spec: EngineSpec[EngineOptions], kind: type[Kind]) -> TypeGuard[EngineSpec[Kind]]:
    """Whether a spec describes the engine whose options are of a kind."""
    return isinstance(spec.engine, kind)


class Engine(Protocol):
    """One synchronous interface; concurrency stays inside."""

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the checkpoint that answers."""

    def answer(self, requests: Iterable[Request]) -> Iterator[Answer | RequestFailed]:
        """Answer requests, in any order, matched by key.

        Raises: EngineError when the engine itself cannot go on.
        """

    def stream(self, request: Request) -> Generator[str, None, Answer]:
        """Answer one request piece by piece; the pieces join to the text of the answer returned.

        Closing the generator, or an exception in it, stops the model.
        Raises: EngineError; PhotoError for a photo that cannot be read; ItemError for an answer
        that cannot be used.
        """


class PacedEngine(Engine, Protocol):
    """An engine whose source of requests may have none at the moment, and others later."""

    def answer(self, requests: Iterable[Request | None]) -> Iterator[Answer | RequestFailed]:
        """Answer requests as Engine does; None: there are none now, so go on with those there are.

        Raises: EngineError when the engine itself cannot go on.
        """


@runtime_checkable
class EngineOverDevices(Protocol):
    """What an engine with a worker on each of several devices tells of them."""

    devices: tuple[str, ...]
    workers_died: int
