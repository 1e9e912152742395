"""The engine's surface: requests in, answers out in any order, many under way at once."""

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
from shenhe.engines.server.background import Background
from shenhe.engines.server.client import Client
from shenhe.engines.server.completions import Body
from shenhe.engines.server.dialect import Packing, find_dialect
from shenhe.engines.server.faults import one_line
from shenhe.engines.server.transport import is_loopback
from shenhe.engines.server.wire import Wire
from shenhe.errors import CheckpointError, EngineError, ItemError, OptionError, UsageError, spelled
from shenhe.messages import Answer, Request, RequestFailed
from shenhe.photos import PixelBudget

AHEAD = 4
"""So many more requests than may be under way are taken: their photos are opened meanwhile."""


class ServerEngine:
    """A model behind an OpenAI-compatible server."""

    def __init__(self, spec: EngineSpec[ServerOptions]) -> None:
        """Find the model, and how the server is to be spoken to.

        Raises: UsageError for options that say nothing to a server; EngineError if there is none,
        or it has no such model.
        """
        _check(spec)
        self.spec = spec
        self._background = Background()
        try:
            self._client = self._background.run(_made(spec))
        except UsageError:
            self._background.close()
            raise
        self._contact = self._client.contact
        self.close = weakref.finalize(self, _close, self._background, self._client)
        entry, base = self._find()
        served = spec.adapters[0] if spec.adapters else spec.model
        files = _local_files(entry, base)
        budget = PixelBudget() if files is None else read_budget(find_checkpoint(files[0]))
        if spec.max_pixels is not None:
            budget = PixelBudget(min(budget.min_pixels, spec.max_pixels), spec.max_pixels)
        self.fingerprint = f"server:{served}" if files is None else _fingerprint(files)
        self.dialect = find_dialect(
            str(entry["id"]),
            lambda body: self._background.run(self._contact.try_once(body)),
            constrain=spec.constrain,
            packing=_packing(spec, self._contact.address),
        )
        secrets = self._contact.secrets
        self._wire = Wire(spec, str(entry["id"]), self.dialect, budget, secrets)

    def answer(self, requests: Iterable[Request]) -> Iterator[Answer | RequestFailed]:
        """Answer many requests at a time, those first that come first; see Engine."""
        source, more = iter(requests), True
        waiting: set[Future[Answer | RequestFailed]] = set()
        ready: SimpleQueue[Future[Answer | RequestFailed]] = SimpleQueue()
        try:
            while True:
                while more and len(waiting) < self._client.pace.width + AHEAD:
                    request = next(source, None)
                    if request is None:
                        more = False
                        break
                    future = self._background.submit(self._client.answer(request, self._wire))
                    waiting.add(future)
                    future.add_done_callback(ready.put)
                if not waiting:
                    return
                done = ready.get()
                waiting.discard(done)
                yield done.result()
        finally:
            for future in waiting:
                future.cancel()

    def stream(self, request: Request) -> Generator[str, None, Answer]:
        """Yield the text of one answer as it is written; see Engine."""
        letter = self._wire.write(request, stream=True)
        pieces: SimpleQueue[str | None] = SimpleQueue()
        future = self._background.submit(self._client.stream(letter, pieces.put))
        future.add_done_callback(lambda _: pieces.put(None))
        told = ""
        try:
            while (piece := pieces.get()) is not None:
                told += piece
                if piece:
                    yield piece
            answer = self._wire.read(letter, future.result())
        except CancelledError as error:
            raise EngineError(f"--base-url {self._contact.address}: it was closed") from error
        except ItemError as error:
            said = one_line(error, self._contact.secrets)
            raise ItemError(error.code, f"--base-url {self._contact.address}: {said}") from error
        finally:
            future.cancel()
        if answer.text.startswith(told) and answer.text != told:
            yield answer.text[len(told) :]
        return answer

    def _find(self) -> tuple[Body, Body | None]:
        """Find the model that is asked, and the base where that is an adapter of it."""
        models = self._background.run(self._contact.models())
        listed = {entry["id"]: entry for entry in models}
        names = (self.spec.model, *self.spec.adapters)
        # A list that cannot be read is no reason not to ask for the model by its name.
        entries = listed or {name: {"id": name} for name in names}
        for name in names:
            if name not in entries:
                known = one_line(", ".join(sorted(entries)), self._contact.secrets)
                raise UsageError(f"{name}: the server has no such model; it has {known}")
        base = entries[self.spec.model]
        if not self.spec.adapters:
            return base, None
        adapter = entries[self.spec.adapters[0]]
        if not self.spec.engine.tower_lora and _ignored_by_vllm(adapter, base):
            raise UsageError(
                f"--adapters {self.spec.adapters[0]}: it changes the vision tower, which vLLM"
                " passes over unless it is started with --enable-tower-connector-lora: merge it"
                " (shenhe merge), or say --tower-lora if it was started so"
            )
        return adapter, base


async def _made(spec: EngineSpec[ServerOptions]) -> Client:
    return Client(spec)


def _close(background: Background, client: Client) -> None:
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


def _local_files(entry: Body, base: Body | None) -> list[str] | None:
    """Find the checkpoint that the server has loaded, base first, where it lies on this disk."""
    first = _folder(entry if base is None else base, find_checkpoint)
    if first is None or base is None:
        return None if first is None else [first]
    adapter = _folder(entry, find_adapter)
    return None if adapter is None else [first, adapter]


def _folder(model: Body, find: Callable[[str], object]) -> str | None:
    """Find the folder that a server names, where it holds here what it holds there."""
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


def _fingerprint(files: list[str]) -> str:
    base, *adapters = files
    return fingerprint(find_checkpoint(base), *map(find_adapter, adapters))


def _ignored_by_vllm(adapter: Body, base: Body) -> bool:
    """Whether an adapter changes what vLLM adapts only when it is told to at its start."""
    folder = _folder(adapter, find_adapter)
    if base.get("owned_by") != "vllm" or folder is None:
        return False
    return any(".visual." in name for name in read_tables(find_adapter(folder).weights))
