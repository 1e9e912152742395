"""The server engine: requests in, answers out in any order, many of them concurrently."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from pathlib import Path
from queue import SimpleQueue
from urllib.parse import urlsplit

from shenhe.checkpoints.inspect import find_adapter, find_checkpoint, fingerprint, read_budget
from shenhe.checkpoints.tensors import read_tables
from shenhe.engines.base import EngineSpec
from shenhe.engines.options import ServerOptions
from shenhe.engines.server.background import BackgroundLoop
from shenhe.engines.server.client import Client
from shenhe.engines.server.codec import Codec
from shenhe.engines.server.completions import Body
from shenhe.engines.server.dialect import Packing, find_dialect
from shenhe.engines.server.faults import to_one_line
from shenhe.engines.server.penalty import penalty_for
from shenhe.engines.server.transport import is_loopback
from shenhe.engines.streaming import StreamedText
from shenhe.errors import CheckpointError, EngineError, ItemError, OptionError, UsageError, spelled
from shenhe.messages import Answer, Request, RequestFailed
from shenhe.photos import PixelBudget

PREFETCH = 4
"""Requests that are encoded ahead of the concurrency limit."""


class ServerEngine:
    """A model behind an OpenAI-compatible server.

    Example:
        spec = EngineSpec("qwen", engine=ServerOptions(base_url="http://127.0.0.1:8000/v1"))
        answers = list(ServerEngine(spec).answer(requests))

    """

    def __init__(self, spec: EngineSpec[ServerOptions]) -> None:
        """Find the model, and probe what the server can do.

        Raises: UsageError for options that mean nothing to a server; EngineError if there is none,
        or it has no such model.
        """
        _check(spec)
        self.spec = spec
        self._background = BackgroundLoop()
        try:
            self._client = self._background.run(_create_client(spec))
        except UsageError:
            self._background.close()
            raise
        self._endpoint = self._client.endpoint
        self.close = weakref.finalize(self, _close, self._background, self._client)
        entry, base = self._find_model()
        penalty = penalty_for(entry.get("owned_by"), spec.repetition_penalty)
        name = str(entry["id"])
        folders = _local_folders(entry, base)
        if folders is None:
            budget = PixelBudget()
            self.fingerprint = f"server:{spec.adapters[0] if spec.adapters else spec.model}"
        else:
            checkpoint = find_checkpoint(folders[0])
            budget = read_budget(checkpoint)
            self.fingerprint = fingerprint(checkpoint, *map(find_adapter, folders[1:]))
        if spec.max_pixels is not None:
            budget = PixelBudget(min(budget.min_pixels, spec.max_pixels), spec.max_pixels)
        self.dialect = find_dialect(
            name,
            lambda body: self._background.run(self._endpoint.probe(body)),
            constrain=spec.constrain,
            packing=_packing(spec, self._endpoint.address),
        )
        self._codec = Codec(spec, name, self.dialect, budget, self._endpoint.secrets, penalty)

    def answer(self, requests: Iterable[Request]) -> Iterator[Answer | RequestFailed]:
        """Answer requests concurrently, in the order in which answers arrive; see Engine."""
        source, exhausted = iter(requests), False
        pending: set[Future[Answer | RequestFailed]] = set()
        done: SimpleQueue[Future[Answer | RequestFailed]] = SimpleQueue()
        try:
            while True:
                while not exhausted and len(pending) < self._client.limit.current + PREFETCH:
                    request = next(source, None)
                    if request is None:
                        exhausted = True
                        break
                    future = self._background.submit(self._client.answer(request, self._codec))
                    pending.add(future)
                    future.add_done_callback(done.put)
                if not pending:
                    return
                future = done.get()
                pending.discard(future)
                yield future.result()
        finally:
            for future in pending:
                future.cancel()

    def stream(self, request: Request) -> Generator[str, None, Answer]:
        """Yield the text of one answer while it is generated; see Engine.

        Raises: EngineError if the server cannot be used; ItemError, PhotoError of the request.
        """
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
    def _base_url(self) -> str:
        """The address as an option."""
        return spelled("base_url", self._endpoint.address)

    def _find_model(self) -> tuple[Body, Body | None]:
        """Find the model that answers, and its base if it is an adapter."""
        models = self._background.run(self._endpoint.models())
        listed = {str(entry["id"]): entry for entry in models}
        names = (self.spec.model, *self.spec.adapters)
        # If the list cannot be read, the model may still be there by its name.
        entries: dict[str, Body] = listed or {name: {"id": name} for name in names}
        for name in names:
            if name not in entries:
                available = to_one_line(", ".join(sorted(entries)), self._endpoint.secrets)
                raise UsageError(f"{name}: the server has no such model; it has {available}")
        base = entries[self.spec.model]
        if not self.spec.adapters:
            return base, None
        adapter = entries[self.spec.adapters[0]]
        if not self.spec.engine.tower_lora and _is_ignored_by_vllm(adapter, base):
            problem = (
                "it changes the vision tower, which vLLM passes over unless it is started with"
                " --enable-tower-connector-lora: merge it (shenhe merge), or say"
                f" {spelled('tower_lora', True)} if it was started so"
            )
            raise OptionError("adapters", self.spec.adapters[0], problem)
        return adapter, base


async def _create_client(spec: EngineSpec[ServerOptions]) -> Client:
    return Client(spec)


def _close(background: BackgroundLoop, client: Client) -> None:
    background.run(client.close())
    background.close()


def _packing(spec: EngineSpec[ServerOptions], address: str) -> Packing:
    if spec.engine.photo_packing is not None:
        return "BMP" if spec.engine.photo_packing == "bmp" else "PNG"
    return "BMP" if is_loopback(urlsplit(address).hostname or "") else "PNG"


def _check(spec: EngineSpec[ServerOptions]) -> None:
    """Refuse a server without an address, and adapters that no server applies."""
    if not spec.engine.base_url:
        address = spelled("base_url", "http://HOST:PORT/v1")
        raise OptionError("engine", "server", f"say where, with {address}")
    if len(spec.adapters) > 1:
        problem = "a server applies one at a time; merge them (shenhe merge)"
        raise OptionError("adapters", None, problem)


def _local_folders(entry: Body, base: Body | None) -> list[str] | None:
    """Find the checkpoint that the server has loaded on this disk, base first; None if absent."""
    checkpoint = _local_folder(entry if base is None else base, find_checkpoint)
    if checkpoint is None or base is None:
        return None if checkpoint is None else [checkpoint]
    adapter = _local_folder(entry, find_adapter)
    return None if adapter is None else [checkpoint, adapter]


def _local_folder(model: Body, find: Callable[[str], object]) -> str | None:
    """Find the folder that a server names, if it is valid here."""
    for name in (model.get("root"), model["id"]):
        if not isinstance(name, str) or not name or not name.isprintable():
            continue
        try:
            if Path(name).is_dir():
                find(name)
                return name
        except (CheckpointError, OSError):
            continue
    return None


def _is_ignored_by_vllm(adapter: Body, base: Body) -> bool:
    """Whether an adapter changes the vision tower, which vLLM adapts only if started to do so."""
    folder = _local_folder(adapter, find_adapter)
    if base.get("owned_by") != "vllm" or folder is None:
        return False
    return any(".visual." in name for name in read_tables(find_adapter(folder).weights))
