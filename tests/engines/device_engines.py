"""Engines without a model for the workers of devices, and ways of theirs to die."""

from __future__ import annotations

import os
import signal
import sys
import time
import warnings
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

from shenhe.engines.base import EngineSpec, ServingEngine
from shenhe.engines.devices import DevicesEngine
from shenhe.engines.options import DevicesOptions, EngineOptions, LocalOptions
from shenhe.errors import AdapterError, EngineError, ItemError, OptionError
from shenhe.messages import Answer, Message, Piece, Request, Served

BATCH_SIZE = 2


class Obedient(ServingEngine):
    """Does what a request says, and answers with its process's id; keeps a batch of requests.

    `kill` kills the process, `crash` is a crash of native code, `memory` an error of torch,
    `broken` one of the checkpoint; `once ... FILE` does so if FILE is not there, `wait` waits for
    one. A question for a language is answered by one.
    """

    fingerprint = "obedient"

    def serve(self, requests: Iterable[Request | None]) -> Generator[Served, None, None]:
        batch: list[Request] = []
        for request in requests:
            if request is not None:
                batch.append(request)
            if batch and (request is None or len(batch) == BATCH_SIZE):
                yield from self.results(batch.pop(0))
        for request in batch:
            yield from self.results(request)

    def cancel(self, key: str) -> None:
        pass

    def results(self, request: Request) -> Iterator[Served]:
        answer = self.obey(request)
        if request.streamed:
            yield from (Piece(request.key, part) for part in (answer.text[:1], answer.text[1:]))
        yield answer

    def obey(self, request: Request) -> Answer:
        words = str(request.messages[0].parts[0]).split()
        text = str(os.getpid())
        if words[0] == "Language?":
            words, text = words[1:], "zh"
        if words[0] == "once":
            marker = Path(words.pop())
            words = words[1:] if not marker.exists() else ["answer"]
            marker.touch()
        match words[0]:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "crash":
                os.abort()
            case "memory":
                try:
                    raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
                except RuntimeError as error:
                    raise EngineError(f"the model failed: {error}") from error
            case "broken":
                raise EngineError("the model's scores are no numbers")
            case "unreadable":
                raise ItemError("missing", "no such photo")
            case "warn":
                warnings.warn("an adapter without effect", stacklevel=1)
            case "wait":
                while not Path(words[1]).exists():
                    time.sleep(0.01)
            case "slow":
                time.sleep(0.005)
        return Answer(request.key, text, "stop", 1, 1, attempt=request.attempt)


def obedient(spec: EngineSpec[EngineOptions]) -> Obedient:
    return Obedient()


def without_the_second(spec: EngineSpec[EngineOptions]) -> Obedient:
    """Find no such device, as torch does, on all but the CPU."""
    assert isinstance(spec.engine, LocalOptions)
    if spec.engine.device != "cpu":
        raise OptionError("device", spec.engine.device, "not to be had on this machine")
    return Obedient()


def unfit(spec: EngineSpec[EngineOptions]) -> Obedient:
    raise AdapterError("lora: does not fit the base")


def dying(spec: EngineSpec[EngineOptions]) -> Obedient:
    """End in the start, with a last line."""
    print("Loading weights", file=sys.stderr)
    print("torch.OutOfMemoryError: CUDA out of memory", file=sys.stderr, flush=True)
    os._exit(3)


def over(devices: str = "cpu,cpu", create: object = obedient) -> DevicesEngine:
    """Start workers."""
    assert callable(create)
    spec = EngineSpec(
        model="none", batch_size=BATCH_SIZE, engine=DevicesOptions(devices=(devices,))
    )
    return DevicesEngine(spec, create)


def ask(key: str, text: str = "answer") -> Request:
    return Request(key, (Message("user", (text,)),), 8)
