"""An engine that loads its model when it is needed: until then a mistake costs no loading."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable

from shenhe.checkpoints.inspect import CheckpointFiles, find_adapter, find_checkpoint, fingerprint
from shenhe.engines.base import Engine, EngineSpec, ServingEngine, is_for
from shenhe.engines.openvino.exported import find_exported
from shenhe.engines.options import EngineOptions, OpenvinoOptions
from shenhe.errors import EngineError
from shenhe.messages import Request, Served


def find_model(spec: EngineSpec[EngineOptions]) -> CheckpointFiles:
    """Find the checkpoint of an engine that loads it on this machine, in the form that it takes.

        find_model(EngineSpec(model="demo", engine=OpenvinoOptions())).folder.name == "openvino"

    Raises: CheckpointError.
    """
    find = find_exported if is_for(spec, OpenvinoOptions) else find_checkpoint
    return find(spec.model)


class DeferredEngine(ServingEngine):
    """The engine of a checkpoint on this machine; its fingerprint is known before it is loaded."""

    def __init__(
        self, spec: EngineSpec[EngineOptions], create: Callable[[], ServingEngine]
    ) -> None:
        """Find the checkpoint.

        Raises: CheckpointError, AdapterError.
        """
        base, adapters = find_model(spec), map(find_adapter, spec.adapters)
        self.fingerprint = fingerprint(base, *adapters)
        self._model, self._create = spec.model, create
        self._engine: ServingEngine | None = None

    def load(self) -> ServingEngine:
        """Load the model, unless it is loaded.

        Raises: what its engine raises; EngineError if its files were changed meanwhile.
        """
        if self._engine is None:
            self._engine = self._create()
            if self._engine.fingerprint != self.fingerprint:
                problem = "its files were changed while it was loaded: run this again"
                raise EngineError(f"{self._model}: {problem}")
        return self._engine

    def serve(self, requests: Iterable[Request | None]) -> Generator[Served, None, None]:
        """Answer requests as they come; see ServingEngine.

        Raises: EngineError.
        """
        yield from self.load().serve(requests)

    def cancel(self, key: str) -> None:
        """Stop a request; see ServingEngine."""
        if self._engine is not None:
            self._engine.cancel(key)


def load_now(engine: Engine) -> Engine:
    """Load the model of an engine that waits for that; any other is loaded.

        engine = load_now(engine)

    Raises: what its engine raises.
    """
    return engine.load() if isinstance(engine, DeferredEngine) else engine
