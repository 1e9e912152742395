"""The processes of a service: HTTP on the main thread, the model and its jobs beside it."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

import uvicorn

from shenhe.config import Missions
from shenhe.errors import RunError
from shenhe.service.access import FindCaller
from shenhe.service.allowed_hosts import AllowedHosts, ForeignHostError
from shenhe.service.app import create_app
from shenhe.service.bell import Bell, read_last_end
from shenhe.service.chat.served import ChatModel
from shenhe.service.deliveries import Deliveries
from shenhe.service.fetching import PhotoFetcher
from shenhe.service.inbox import Inbox
from shenhe.service.limits import Limits
from shenhe.service.observing import RequestObserver
from shenhe.service.parts import Service
from shenhe.service.photo_reuse import PhotosOfJobs
from shenhe.service.pipeline import Pipeline, ServedModel
from shenhe.service.places import Places
from shenhe.service.pressure import Pressure
from shenhe.service.refusals import RefusedError
from shenhe.service.reopening import Reopening
from shenhe.service.rows import RowsFollower
from shenhe.service.store import JobStore
from shenhe.service.submissions import Submissions
from shenhe.service.webhooks import SECRET, Webhooks
from shenhe.web.connections import configure

GRACE_SECONDS: Final = 20
"""How long requests under way have to end, and then jobs, before jobs are put back."""
PARTS: Final = ("model", "pipeline", "leases", "rows", "watch", "retention")
"""Names of the threads without any of which a service only seems to work."""
log = logging.getLogger("shenhe.service")


def make_service(
    store: JobStore,
    data_dir: Path,
    missions: Missions,
    limits: Limits,
    hosts: AllowedHosts,
    secret: bytes = b"",
    wake: Callable[[], object] = lambda: None,
    chat: ChatModel | None = None,
) -> Service:
    """Put the parts of a service together; without a secret nobody is told by webhooks.

    `wake` is called when a job was handed in here. Without a model for chat there is none.

    Example:
        service = make_service(store, Path("data"), load_missions(), Limits(), AllowedHosts([]))

    """
    inbox = Inbox(data_dir / "photos")

    def check_callback(url: str) -> None:
        if not secret:
            raise RefusedError(400, "no_webhooks", f"callback: this service has no {SECRET}")
        try:
            hosts.check(url)
        except ForeignHostError as error:
            raise RefusedError(400, "host_not_allowed", f"callback: {error}") from error

    return Service(
        store,
        Submissions(store, inbox, missions, limits, check_callback, wake),
        Pressure(limits, store.waiting, inbox.free_bytes),
        Bell(lambda: read_last_end(store)),
        limits,
        PhotoFetcher(hosts),
        Places(limits),
        Webhooks(store, Deliveries(store), hosts, secret) if secret else None,
        chat,
    )


def serve_http(
    service: Service,
    find_caller: FindCaller,
    listening: socket.socket,
    observers: Sequence[RequestObserver] = (),
) -> None:
    """Answer over HTTP until SIGTERM or Ctrl-C; requests under way end first."""
    config = configure(create_app(service, find_caller, observers), GRACE_SECONDS)
    server = _Server(config, service.bell)
    # Requests that the end cuts off are no errors: what was answered is on disk.
    logging.getLogger("uvicorn.error").addFilter(lambda record: not server.should_exit)
    server.run(sockets=[listening])


@contextmanager
def working(
    store: JobStore, model: ServedModel, data_dir: Path, photos: PhotosOfJobs | None = None
) -> Iterator[Pipeline]:
    """Work jobs and write rows meanwhile; at the end jobs in hand end, or are put back.

    With the `photos` of all groups those are judged anew whose photos a later one has too.
    """
    worker = f"{socket.gethostname()}:{os.getpid()}"
    on_begin = Reopening(store, photos).reopen_users if photos else bool
    pipeline = Pipeline(store, model, worker, on_begin)
    rows = RowsFollower(store, data_dir, lambda: pipeline.model.judge)
    pipeline.start()
    rows.start()
    try:
        yield pipeline
    finally:
        pipeline.stop(GRACE_SECONDS)
        rows.stop()
        pipeline.model.hub.close()


def wait_for_signal() -> None:
    """Wait until a signal ends the process."""
    while True:
        # A signal that comes just before the wait does not cut it short: it is heeded after it.
        time.sleep(1)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Have SIGTERM end what is inside as it ends by itself."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(0)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def ended_by_broken_parts() -> Iterator[None]:
    """Have an unexpected error in a thread of the service end the process, as SIGTERM does.

    Who started it starts it again; a service without one of its parts would take in jobs for ever.
    Raises: RunError that names the part and the error.
    """
    broken: list[str] = []

    def note(error: threading.ExceptHookArgs) -> None:
        name = error.thread.name if error.thread else ""
        if name not in PARTS:
            before(error)
            return
        log.critical("%s: an unexpected error", name, exc_info=error.exc_value)
        broken.append(f"{name}: {error.exc_type.__name__}: {error.exc_value}")
        # A second signal would meet a process that ends already, and kill it before it has told.
        if len(broken) == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    before, threading.excepthook = threading.excepthook, note
    try:
        yield
    except SystemExit:
        if not broken:
            raise
    finally:
        threading.excepthook = before
    if broken:
        problem = "start the service again; nothing that was accepted is lost"
        raise RunError(f"a part of the service failed: {broken[0]}; {problem}")


class _Server(uvicorn.Server):
    """A server that lets go of whoever waits as soon as it is told to end."""

    def __init__(self, config: uvicorn.Config, bell: Bell) -> None:
        super().__init__(config)
        self._bell = bell

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Note the signal, and end streams and waits."""
        super().handle_exit(sig, frame)
        self._bell.is_closing = True
