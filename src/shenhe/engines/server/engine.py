"""The server engine: requests in, answers out in any order, many of them concurrently."""

from __future__ import annotations

import weakref
from collections.abc import Generator, Iterable
from concurrent.futures import CancelledError
from queue import SimpleQueue
from urllib.parse import urlsplit

from shenhe.checkpoints.processor import read_processor
from shenhe.engines.base import EngineSpec, ServingEngine
from shenhe.engines.budget import BudgetWarning, PhotoBudget
from shenhe.engines.cancelling import Cancellations
from shenhe.engines.options import ServerOptions
from shenhe.engines.server.background import BackgroundLoop
from shenhe.engines.server.calls import Calls
from shenhe.engines.server.client import Client
from shenhe.engines.server.codec import Codec
from shenhe.engines.server.dialect import Packing, find_dialect
from shenhe.engines.server.endpoint import Endpoint
from shenhe.engines.server.faults import to_one_line
from shenhe.engines.server.penalty import penalty_for
from shenhe.engines.server.served_model import TOLD_AT, ServedModel, find_entries, other_names
from shenhe.engines.server.transport import is_loopback
from shenhe.engines.streaming import StreamedText
from shenhe.engines.workers import RequestQueue
from shenhe.errors import EngineError, ItemError, OptionError, UsageError, spelled
from shenhe.messages import Answer, Request, Served

PREFETCH = 4
"""Requests that are encoded ahead of the concurrency limit."""


class ServerEngine(ServingEngine):
    """A model behind an OpenAI-compatible server.

    Example:
        spec = EngineSpec("qwen", engine=ServerOptions(base_url="http://127.0.0.1:8000/v1"))
        answers = list(ServerEngine(spec).answer(requests))

    """

    def __init__(self, spec: EngineSpec[ServerOptions]) -> None:
        """Find the model, and probe what the server can do.

        Raises: UsageError for options that mean nothing to a server; CheckpointError for a
        processor that cannot be read; EngineError if there is no server, or it has no such model.
        """
        _check(spec)
        self.spec = spec
        self._background, self._cancelled = BackgroundLoop(), Cancellations()
        try:
            self._client = self._background.run(_create_client(spec))
        except UsageError:
            self._background.close()
            raise
        self._endpoint = self._client.endpoint
        self.close = weakref.finalize(self, _close, self._background, self._client)
        model = self._background.run(_find_model(spec, self._endpoint))
        penalty = penalty_for(model.owner, spec.repetition_penalty)
        self.fingerprint = model.fingerprint(spec)
        self.budget: PhotoBudget | None = model.budget(spec, self._endpoint.address)
        self._warning = BudgetWarning(self.budget)
        self.dialect = find_dialect(
            model.name,
            lambda body: self._background.run(self._endpoint.probe(body)),
            constrain=spec.constrain,
            packing=_packing(spec, self._endpoint.address),
            owner=model.owner,
        )
        self._codec = Codec(
            spec,
            model.name,
            self.dialect,
            self.budget.bounds,
            self._endpoint.secrets,
            penalty,
            model.others,
        )

    def serve(self, requests: Iterable[Request | None]) -> Generator[Served, None, None]:
        """Answer requests concurrently, in the order in which answers arrive; see ServingEngine."""
        queue = RequestQueue(self._warning.noting(requests))
        calls = Calls(self._background, self._client, self._codec, self._cancelled)
        try:
            while True:
                while calls.count < self._room and (taken := queue.take(1)):
                    calls.start(*taken)
                if queue.exhausted and not calls.count:
                    return
                yield from calls.wait(paced=queue.paused)
        finally:
            calls.cancel()

    def cancel(self, key: str) -> None:
        """Stop a request; see ServingEngine."""
        self._cancelled.note(key)

    def stream(self, request: Request) -> Generator[str, None, Answer]:
        """Yield the text of one answer while it is generated; see Engine.

        Raises: EngineError if the server cannot be used; ItemError, PhotoError of the request.
        """
        self._warning.note(request)
        encoded = self._codec.encode(request, stream=True)
        pieces: SimpleQueue[str | None] = SimpleQueue()
        future = self._background.submit(self._client.stream(encoded, pieces.put))
        future.add_done_callback(lambda _: pieces.put(None))
        streamed = StreamedText()
        try:
            while (piece := pieces.get()) is not None:
                streamed.text += piece
                if piece:
                    yield piece
            answer = self._codec.decode(encoded, future.result())
        except CancelledError as error:
            raise EngineError(f"{self._base_url}: it was closed") from error
        except ItemError as error:
            message = to_one_line(error, self._endpoint.secrets)
            raise ItemError(error.code, f"{self._base_url}: {message}") from error
        finally:
            future.cancel()
        if piece := streamed.extend(answer.text):
            yield piece
        return answer

    @property
    def _room(self) -> int:
        """How many requests may be under way."""
        return self._client.limit.current + PREFETCH

    @property
    def _base_url(self) -> str:
        """The address as an option."""
        return spelled("base_url", self._endpoint.address)


async def _create_client(spec: EngineSpec[ServerOptions]) -> Client:
    return Client(spec)


async def _find_model(spec: EngineSpec[ServerOptions], endpoint: Endpoint) -> ServedModel:
    """Find the model in the server's list, and ask what the server tells elsewhere.

    Raises: EngineError; UsageError if there is no such model.
    """
    models = await endpoint.models()
    entry, base = find_entries(spec, models, endpoint.secrets)
    path = TOLD_AT.get(str(entry.get("owned_by")))
    told = await endpoint.told_at(path) if path else {}
    return ServedModel(entry, base, told, other_names(entry, base, models))


def _close(background: BackgroundLoop, client: Client) -> None:
    background.run(client.close())
    background.close()


def _packing(spec: EngineSpec[ServerOptions], address: str) -> Packing:
    if spec.engine.photo_packing is not None:
        return "BMP" if spec.engine.photo_packing == "bmp" else "PNG"
    return "BMP" if is_loopback(urlsplit(address).hostname or "") else "PNG"


def _check(spec: EngineSpec[ServerOptions]) -> None:
    """Refuse a server without an address, adapters that no server applies, a processor that
    cannot be read."""
    if not spec.engine.base_url:
        address = spelled("base_url", "http://HOST:PORT/v1")
        raise OptionError("engine", "server", f"say where, with {address}")
    if len(spec.adapters) > 1:
        problem = "a server applies one at a time; merge them (shenhe merge)"
        raise OptionError("adapters", None, problem)
    if spec.engine.processor is not None:
        read_processor(spec.engine.processor)
