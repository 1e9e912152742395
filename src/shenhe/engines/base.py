"""The interface of every engine, and the spec that one is created from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import fields, replace
from typing import Generic, NamedTuple, Protocol, TypeGuard, TypeVar, runtime_checkable

from shenhe.engines.options import EngineOptions, ModelOptions, OptionsType
from shenhe.errors import EngineError, ItemError
from shenhe.messages import Answer, Piece, Request, RequestFailed, Served
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
        Raises: EngineError; ItemError for a photo that cannot be read, and for an answer that
        cannot be used.
        """


IDLE_SECONDS = 0.01
"""How long an engine without work waits before it looks for some again."""
CANCELLED = "cancelled"
"""The code of a request that was given up because nobody waits for it."""


class ServingEngine(ABC):
    """An Engine whose requests may come one by one, and whose answers may leave as they grow.

    Example:
        for result in engine.serve(waiting_requests()): ...

    """

    fingerprint: str

    @abstractmethod
    def serve(self, requests: Iterable[Request | None]) -> Generator[Served, None, None]:
        """Answer requests as `answer` does, while others come; None: there is none at the moment.

        The pieces of a streamed request come before its answer. All join one batch.
        Raises: EngineError when the engine itself cannot go on.
        """

    @abstractmethod
    def cancel(self, key: str) -> None:
        """Stop a request that is served, from any thread, as nobody waits for it any more.

        It has failed, by the code `cancelled`, unless it is answered already, or others wait for
        the same answer. Where requests are cancelled, no key is used twice.
        """

    def answer(self, requests: Iterable[Request]) -> Generator[Answer | RequestFailed, None, None]:
        """Answer requests, in any order, matched by key; see Engine.

        Raises: EngineError when the engine itself cannot go on.
        """
        with closing(self.serve(requests)) as results:
            for result in results:
                if not isinstance(result, Piece):
                    yield result

    def stream(self, request: Request) -> Generator[str, None, Answer]:
        """Yield the text of one answer while it is generated; see Engine.

        Raises: EngineError; ItemError for a photo that cannot be read, and an unusable answer.
        """
        with closing(self.serve([replace(request, streamed=True)])) as results:
            for result in results:
                if isinstance(result, Answer):
                    return result
                if isinstance(result, RequestFailed):
                    raise ItemError(result.code, result.message)
                yield result.text
        raise EngineError("the engine ended without an answer")


class Reuse(NamedTuple):
    """What requests needed of an engine, and what of it was computed for earlier ones.

    `photos` count what came to the vision tower. Units: photos, tokens.
    """

    photos: int
    reused_photos: int
    prompt_tokens: int
    reused_tokens: int

    def since(self, before: Reuse) -> Reuse:
        """Take off what was counted before."""
        return Reuse(*(now - then for now, then in zip(self, before, strict=True)))


@runtime_checkable
class ReusingEngine(Protocol):
    """An engine that tells what it did not compute twice."""

    @property
    def reuse(self) -> Reuse:
        """What requests needed so far, and what of it was computed for earlier ones."""


@runtime_checkable
class EngineOverDevices(Protocol):
    """What an engine with a worker on each of several devices tells of them."""

    devices: tuple[str, ...]
    workers_died: int
