"""The choice of an engine by its name, and of its options out of those of all engines."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from shenhe.engines.options import (
    ClusterOptions,
    DevicesOptions,
    EngineName,
    EngineOptions,
    LocalOptions,
    OpenvinoOptions,
    RayOptions,
    ServerOptions,
    VllmOptions,
    WorkerName,
    WorkerOptions,
)
from shenhe.errors import OptionError, spelled


def choose_engine(
    engine: str,
    ray_engine: str,
    local: LocalOptions,
    server: ServerOptions,
    vllm: VllmOptions,
    cluster: ClusterOptions,
    devices: tuple[str, ...] = (),
) -> EngineOptions:
    """Choose the options of an engine by its name, where those of all engines are there.

    Raises: OptionError for a value that no engine can honour, and for an option that the chosen
    engine leaves to somebody else.

    >>> choose_engine("local", "local", LocalOptions(dtype="float32"), ServerOptions(),
    ...               VllmOptions(), ClusterOptions()).dtype
    'float32'
    """
    if devices:
        return _choose_devices(engine, local, server, vllm, devices)
    if engine == "ray":
        return RayOptions(
            ray_address=cluster.ray_address,
            ray_workers=cluster.ray_workers,
            worker=_choose_worker(ray_engine, "ray_engine", local, server, vllm),
        )
    if engine == "openvino":
        return _choose_openvino(local, server)
    return _choose_worker(engine, "engine", local, server, vllm)


def _choose_openvino(local: LocalOptions, server: ServerOptions) -> OpenvinoOptions:
    local.check()
    _refuse_server(server)
    owner = f"goes with {spelled('engine', 'local')}"
    _refuse_changes(local, ("attn_impl", "device", "quantize", "speculate"), owner)
    return OpenvinoOptions(dtype=local.dtype, reuse_memory=local.reuse_memory)


def _choose_devices(
    engine: str,
    local: LocalOptions,
    server: ServerOptions,
    vllm: VllmOptions,
    devices: tuple[str, ...],
) -> DevicesOptions:
    if engine in ("openvino", "ray", "server"):
        owners = {"openvino": "OpenVINO has", "ray": "Ray chooses"}
        owner = owners.get(engine, "the server has")
        engines = f"{spelled('engine', 'local')} and {spelled('engine', 'vllm')}"
        raise OptionError("devices", None, f"goes with {engines}; {owner} its own")
    if local.device != LocalOptions().device:
        raise OptionError("device", None, f"{spelled('devices')} names them all; give one of both")
    worker = _choose_worker(engine, "engine", local, server, vllm)
    assert not isinstance(worker, ServerOptions)
    return DevicesOptions(devices=devices, worker=worker)


def _choose_worker(
    name: str, option_name: str, local: LocalOptions, server: ServerOptions, vllm: VllmOptions
) -> WorkerOptions:
    local.check()
    server.check_values()
    if name == "local":
        _refuse_server(server)
        return local
    if name == "server":
        server.check()
        owner = f"is the server's to choose, with {spelled('engine', 'server')}"
        _refuse_changes(
            local, ("dtype", "attn_impl", "device", "quantize", "speculate", "reuse_memory"), owner
        )
        return server
    if name == "vllm":
        vllm_option = spelled("vllm_options", "NAME=VALUE")
        owner = f"is vLLM's to choose; pass options of its own by {vllm_option}"
        _refuse_changes(
            local, ("attn_impl", "device", "quantize", "speculate", "reuse_memory"), owner
        )
        _refuse_processor(server)
        return vllm
    names = get_args(EngineName if option_name == "engine" else WorkerName)
    raise OptionError(option_name, name, f"use one of {', '.join(names)}")


def _refuse_server(server: ServerOptions) -> None:
    """Refuse what only a server has use for."""
    if server.base_url is not None:
        raise OptionError("base_url", None, f"goes with {spelled('engine', 'server')}")
    _refuse_processor(server)


def _refuse_processor(server: ServerOptions) -> None:
    """Refuse the folder of a server's checkpoint where the checkpoint itself is loaded."""
    if server.processor is not None:
        problem = f"goes with {spelled('engine', 'server')}; here the checkpoint's own is used"
        raise OptionError("processor", None, problem)


def _refuse_changes(options: LocalOptions, names: Iterable[str], problem: str) -> None:
    usual = LocalOptions()
    for name in names:
        if getattr(options, name) != getattr(usual, name):
            raise OptionError(name, None, problem)
