"""Any engine over a Ray cluster: one in each worker, replaced when it dies, nothing asked in vain.

Ray Data wants its data set beforehand. Here questions are a stream that answers feed back into (a
malformed one is asked again): so workers are Ray's own actors, given the stream piece by piece.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from shenhe.engines.base import Engine, EngineSpec, engine_spec
from shenhe.engines.options import EngineOptions, LocalOptions, RayOptions
from shenhe.errors import (
    EngineError,
    ShenheError,
    Spelling,
    current_spelling,
    spell_by,
    spelled,
)
from shenhe.messages import Answer, Request, RequestFailed

log = logging.getLogger("shenhe.ray")
FIRST_PIECE, LARGEST_PIECE = 8, 512
PIECE_SECONDS = 20.0
"""Requests that a worker is given at once: few at first, then as many as it answers in so long."""
AHEAD = 2
"""Pieces that a worker has: one that it answers, and one behind it, so that it never waits."""
STILLBORN = 3
"""After so many workers in a row that died before they were ready, none will live."""
LOOK_SECONDS = 5.0


Create = Callable[[EngineSpec[EngineOptions]], Engine]
"""Makes the engine of each worker."""


class Worker:
    """An engine in a process of the cluster."""

    def ready(self, spec: EngineSpec[EngineOptions], create: Create, spelling: Spelling) -> str:
        """Load the model, and give its fingerprint; messages write options as the driver does.

        Raises: what the engine raises when it cannot start.
        """
        spell_by(spelling)
        self._engine = create(spec)
        return self._engine.fingerprint

    def answer(self, requests: list[Request]) -> Iterator[Answer | RequestFailed]:
        """Answer some requests, in any order."""
        yield from self._engine.answer(requests)

    def stream(self, request: Request) -> Iterator[str | Answer]:
        """Give the pieces of one answer, and at last the answer."""
        answer = yield from self._engine.stream(request)
        yield answer


@dataclass(slots=True, eq=False)
class _Piece:
    """Requests that a worker was given, and what it gives for them."""

    left: dict[str, Request]
    answers: Any
    count: int
    began: float = field(default_factory=time.monotonic)


@dataclass(slots=True, eq=False)
class _Place:
    """One worker, or the one that is to replace it. `loading` is there until it is ready."""

    actor: Any
    loading: Any
    pieces: deque[_Piece] = field(default_factory=deque)
    piece_size: int = FIRST_PIECE


class RayEngine:
    """Workers over a cluster, behind one engine's surface."""

    def __init__(self, spec: EngineSpec[RayOptions], create: Create) -> None:
        """Join a cluster, or start one on this machine, and wait for the first worker.

        Raises: EngineError if there is no such cluster, or no worker lives; what the engine that is
        placed raises when it cannot start.
        """
        self.spec, self._create = spec, create
        self._inner = engine_spec(spec, spec.engine.worker)
        address = spec.engine.ray_address
        if not ray.is_initialized():
            try:
                ray.init(
                    address,
                    log_to_driver=False,
                    logging_level="error",
                    include_dashboard=False if address is None else None,
                )
            except (ConnectionError, RayError, ValueError, RuntimeError) as error:
                raise EngineError(
                    f"{spelled('ray_address', str(address))}: no Ray cluster there: {error}"
                ) from error
        self._stillborn = 0
        self._again: deque[Request] = deque()
        self._places = [self._settle() for _ in range(spec.engine.ray_workers or _as_many())]
        self.fingerprint = self._first_ready()

    def answer(self, requests: Iterable[Request]) -> Iterator[Answer | RequestFailed]:
        """Answer requests on all workers; those of a worker that died go to others; see Engine.

        Raises: EngineError when no worker can live any more.
        """
        source = iter(requests)
        try:
            while True:
                more = self._give(source)
                working = {p.pieces[0].answers: p for p in self._places if p.pieces}
                if not working and not more and not self._again:
                    return
                loading = {p.loading: p for p in self._places if p.loading is not None}
                ready, _ = ray.wait([*loading, *working], timeout=LOOK_SECONDS)
                for one in ready:
                    if one in loading:
                        self._load(loading[one])
                    else:
                        yield from self._heard(working[one])
        finally:
            self._forget()

    def stream(self, request: Request) -> Generator[str, None, Answer]:
        """Yield the text of one answer as it is written, by one worker; see Engine."""
        place = next(place for place in self._places if place.loading is None)
        try:
            pieces = place.actor.stream.options(num_returns="streaming").remote(request)
            for piece in pieces:
                said = ray.get(piece)
                if isinstance(said, Answer):
                    return said
                yield str(said)
        except RayError as error:
            raise _cause(error) from error
        raise EngineError("the worker ended without an answer")

    def close(self) -> None:
        """Let the workers go."""
        for place in self._places:
            ray.kill(place.actor)

    def _settle(self) -> _Place:
        """Ask for a worker: it comes when the cluster has room for it."""
        worker = self.spec.engine.worker
        on_cpu = isinstance(worker, LocalOptions) and worker.device == "cpu"
        gpus = 1 if ray.cluster_resources().get("GPU") and not on_cpu else 0
        # A whole processor for each would keep workers off nodes whose processors are counted low.
        options = {"num_gpus": gpus, "num_cpus": 0.5, "scheduling_strategy": "SPREAD"}
        actor = ray.remote(Worker).options(**options, max_restarts=0).remote()
        return _Place(actor, actor.ready.remote(self._inner, self._create, current_spelling()))

    def _first_ready(self) -> str:
        while True:
            ready, _ = ray.wait([place.loading for place in self._places], timeout=LOOK_SECONDS)
            for one in ready:
                place = next(place for place in self._places if place.loading is one)
                if (found := self._load(place)) is not None:
                    return found

    def _load(self, place: _Place) -> str | None:
        """Take in a worker that is ready, or has died on its way there."""
        try:
            found: str = ray.get(place.loading)
        except RayTaskError as error:
            raise _cause(error) from error
        except RayError as error:
            self._stillborn += 1
            if self._stillborn >= STILLBORN:
                raise EngineError(
                    f"{STILLBORN} workers in a row died before they were ready: {error}"
                ) from error
            self._replace(place, error)
            return None
        self._stillborn, place.loading = 0, None
        return found

    def _give(self, source: Iterator[Request]) -> bool:
        """Give every worker that is ready what it has room for; whether there may be more."""
        for place in self._places:
            while place.loading is None and len(place.pieces) < AHEAD:
                piece = [
                    self._again.popleft() for _ in range(min(len(self._again), place.piece_size))
                ]
                piece += islice(source, place.piece_size - len(piece))
                if not piece:
                    return False
                answers = place.actor.answer.options(num_returns="streaming").remote(piece)
                left = {request.key: request for request in piece}
                place.pieces.append(_Piece(left, answers, len(piece)))
        return True

    def _heard(self, place: _Place) -> Iterator[Answer | RequestFailed]:
        """Take one answer of a worker, or note that its piece, or the worker, has ended."""
        piece = place.pieces[0]
        try:
            answer: Answer | RequestFailed = ray.get(next(piece.answers))
        except StopIteration:
            place.pieces.popleft()
            self._again.extend(piece.left.values())
            pace = piece.count / max(time.monotonic() - piece.began, 1e-3)
            wanted = min(2 * place.piece_size, LARGEST_PIECE, round(pace * PIECE_SECONDS))
            place.piece_size = max(FIRST_PIECE, wanted)
            if place.pieces:
                place.pieces[0].began = time.monotonic()
        except RayTaskError as error:
            raise _cause(error) from error
        except RayError as error:  # the worker, its node, or what it had written there
            self._replace(place, error)
        else:
            del piece.left[answer.key]
            yield answer

    def _replace(self, place: _Place, error: RayError) -> None:
        """Settle another worker in a dead one's place; what that had not answered is asked anew."""
        log.warning(
            "a worker died (%s); another takes its place", " ".join(str(error).split())[:120]
        )
        for piece in place.pieces:
            self._again.extend(piece.left.values())
        fresh = self._settle()
        place.actor, place.loading, place.piece_size = fresh.actor, fresh.loading, FIRST_PIECE
        place.pieces.clear()

    def _forget(self) -> None:
        """Drop what is under way, where nobody waits for it any more."""
        for place in self._places:
            for piece in place.pieces:
                ray.cancel(piece.answers, force=False)
            place.pieces.clear()
        self._again.clear()


def _as_many() -> int:
    """One worker a GPU of the cluster; without any, one a node."""
    gpus = int(ray.cluster_resources().get("GPU", 0))
    return gpus or sum(node["Alive"] for node in ray.nodes())


def _cause(error: RayError) -> Exception:
    """Give what was raised in the worker, where it is one of ours."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, ShenheError):
        return cause
    return EngineError(f"a worker failed: {' '.join(str(error).split())[-400:]}")
