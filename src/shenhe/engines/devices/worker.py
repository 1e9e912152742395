"""The process of one device: an engine that is fed through a pipe, and ends with its parent."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import closing
from multiprocessing.connection import Connection
from queue import Empty, SimpleQueue
from types import TracebackType

from shenhe.engines.base import ServingEngine
from shenhe.engines.devices.protocol import (
    Ask,
    Cancel,
    Failed,
    FromWorker,
    Ready,
    Result,
    Start,
    Stop,
    ToWorker,
    Warned,
)
from shenhe.engines.workers import start_engine
from shenhe.errors import EngineError, ShenheError
from shenhe.messages import Piece, Request


def main(handle: int) -> None:
    """Serve the parent at the other end of a socket until it is gone."""
    faulthandler.enable()  # a crash of native code leaves a line that says so
    sys.excepthook = _end_by
    Worker(Connection(handle)).run()
    os._exit(0)  # whatever threads an engine has left


def _end_by(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
    """Print an exception, whose last line the parent reads, and end this process."""
    traceback.print_exception(kind, error, at)
    sys.stderr.flush()
    os._exit(1)


class Worker:
    """An engine and the messages that it has not looked at yet."""

    def __init__(self, connection: Connection[FromWorker, ToWorker]) -> None:
        """Listen to a parent from now on."""
        self._connection, self._sending = connection, threading.Lock()
        self._starts: SimpleQueue[Start] = SimpleQueue()
        self._inbox: SimpleQueue[Ask] = SimpleQueue()
        self._next: Ask | None = None
        self._engine: ServingEngine | None = None
        self._cancelled = self._unanswered = 0
        # The parent's end is noticed at once, also while the model runs.
        threading.Thread(target=self._listen, daemon=True).start()

    def run(self) -> None:
        """Load the engine, and answer whatever comes."""
        warnings.filterwarnings("ignore", module=r"PIL\.")  # of metadata, which changes no pixel
        warnings.showwarning = lambda message, *_, **__: self._send(Warned(str(message)))
        start = self._starts.get()
        try:
            engine = self._engine = start_engine(start.spec, start.create, start.spelling)
        except ShenheError as error:
            self._send(Failed(0, error))
            return
        self._send(Ready(engine.fingerprint))
        while True:
            ask = self._next or self._inbox.get()
            self._next = None
            if ask.call <= self._cancelled:
                continue
            try:
                self._serve(engine, ask)
            except ShenheError as error:
                if _may_pass(error):
                    raise  # the process ends, and another one takes its place
                self._send(Failed(ask.call, error))

    def _serve(self, engine: ServingEngine, first: Ask) -> None:
        """Answer requests of one call as they come, until none is left here.

        Raises: EngineError.
        """
        self._unanswered = 0
        with closing(engine.serve(self._requests(first))) as results:
            for result in results:
                self._unanswered -= not isinstance(result, Piece)
                if first.call <= self._cancelled:
                    return
                self._send(Result(first.call, result))
        if self._unanswered:
            raise EngineError(f"the engine ended with {self._unanswered} requests unanswered")

    def _requests(self, first: Ask) -> Iterator[Request | None]:
        """Yield the requests of a call; None while there are none and the engine has others.

        The batch of the engine stays full while others come in time; else it runs on with fewer.
        """
        ask: Ask | None = first
        while ask is not None or self._unanswered:
            if ask is None:
                yield None
            elif ask.call != first.call:
                self._next = ask
                return
            else:
                self._unanswered += 1
                yield ask.request
            try:
                ask = self._inbox.get_nowait()
            except Empty:
                ask = None

    def _send(self, message: FromWorker) -> None:
        with self._sending:
            self._connection.send(message)

    def _listen(self) -> None:
        """Take messages in, and end this process with its parent."""
        try:
            while True:
                message = self._connection.recv()
                if isinstance(message, Start):
                    self._starts.put(message)
                elif isinstance(message, Cancel):
                    self._cancelled = message.call
                elif isinstance(message, Stop):
                    if self._engine is not None:
                        self._engine.cancel(message.key)
                else:
                    self._inbox.put(message)
        finally:
            _end()


def _end() -> None:
    """End this process at once, and the processes that its engine has started."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _may_pass(error: ShenheError) -> bool:
    """Whether an error comes of this process: of torch, its GPU or vLLM, not of the checkpoint."""
    cause = error.__cause__
    if not isinstance(error, EngineError) or cause is None:
        return False
    return isinstance(cause, RuntimeError) or type(cause).__module__.startswith("vllm")
