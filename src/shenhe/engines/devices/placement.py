"""Which devices there are, what the worker of each is started with, whose an error is."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace

from shenhe.engines.base import EngineSpec, engine_spec
from shenhe.engines.device_names import ALL, device_in_worker, read_device_names, worker_environment
from shenhe.engines.devices.device_worker import DeviceWorker
from shenhe.engines.devices.protocol import CreateEngineHere, Start
from shenhe.engines.options import DevicesOptions, LocalOptions
from shenhe.errors import (
    CheckpointError,
    EngineError,
    ItemError,
    OptionError,
    ShenheError,
    UsageError,
    current_spelling,
    needs,
    spelled,
)


def find_devices(written: Iterable[str]) -> tuple[str, ...]:
    """Name the devices of a list; of `all` every GPU that torch finds here.

    Raises: OptionError for a list that is none, and where `all` are none; UsageError without torch.
    """
    names = read_device_names(written)
    if names != (ALL,):
        return names
    with needs("local", f"{spelled('devices', ALL)}: "):
        import torch  # the workers have it; this process only hands out requests

    if not (count := torch.cuda.device_count()):
        raise OptionError("devices", ALL, "torch finds no GPU here; cpu,cpu would be two processes")
    return tuple(f"cuda:{number}" for number in range(count))


def place_workers(
    devices: tuple[str, ...], spec: EngineSpec[DevicesOptions], create: CreateEngineHere
) -> list[DeviceWorker]:
    """Make a worker for each device, without starting it.

    Raises: OptionError for a GPU that this process may not use.
    """
    cores = len(os.sched_getaffinity(0))
    workers = []
    for device in devices:
        options = spec.engine.worker
        if isinstance(options, LocalOptions):
            options = replace(options, device=device_in_worker(device))
        environment = worker_environment(device, len(devices), cores, os.environ)
        start = Start(engine_spec(spec, options), create, current_spelling())
        workers.append(DeviceWorker(device, environment, start))
    return workers


def name_device(device: str, error: ShenheError) -> ShenheError:
    """Put the name of a device before an error of its worker, unless the device plays no part."""
    if isinstance(error, OptionError) and error.name == "device":
        return OptionError("devices", device, error.problem)
    if isinstance(error, ItemError | UsageError):
        return error
    kind = type(error) if isinstance(error, CheckpointError) else EngineError
    return kind(f"{spelled('devices', device)}: {error}")
