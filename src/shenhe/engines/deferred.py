"""An engine that loads its model when it is needed: until then a mistake costs no loading."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator

from shenhe.checkpoints.inspect import find_adapter, find_checkpoint, fingerprint
from shenhe.engines.base import Engine, EngineSpec
from shenhe.engines.options import EngineOptions
from shenhe.errors import EngineError
from shenhe.messages import Answer, Request, RequestFailed


class DeferredEngine:
    """The engine of a checkpoint on this machine; its fingerprint is known before it is loaded."""

    def __init__(self, spec: EngineSpec[EngineOptions], create: Callable[[], Engine]) -> None:
        """Find the checkpoint.

        Raises: CheckpointError, AdapterError.
        """
        base, adapters = find_checkpoint(spec.model), map(find_adapter, spec.adapters)
        self.fingerprint = fingerprint(base, *adapters)
        self._model, self._create = spec.model, create
        self._engine: Engine | None = None

    def load(self) -> Engine:
        """Load the model, unless it is loaded.

        Raises: what its engine raises; EngineError if its files were changed meanwhile.
        """
        if self._engine is None:
            self._engine = self._create()
            if self._engine.fingerprint != self.fingerprint:
                problem = "its files were changed while it was loaded: run this again"
                raise EngineError(f"{self._model}: {problem}")
        return self._engine

    def answer(self, requests: Iterable[Request]) -> Iterator[Answer | RequestFailed]:
        """Answer requests; see Engine.

        Raises: EngineError.
        """
        yield from self.load().answer(requests)

    def stream(self, request: Request) -> Generator[str, None, Answer]:
        """Answer one request piece by piece; see Engine.

        Raises: EngineError; PhotoError or ItemError of the request.
        """
        return (yield from self.load().stream(request))


def load_now(engine: Engine) -> Engine:
    """Load the model of an engine that waits for that; any other is loaded.

        engine = load_now(engine)

    Raises: what its engine raises.
    """
    return engine.load() if isinstance(engine, DeferredEngine) else engine
