"""From an EngineSpec to its engine; each engine's libraries are imported only when asked for."""

from __future__ import annotations

from shenhe.engines.base import EngineSpec, ServingEngine, is_for
from shenhe.engines.options import (
    DevicesOptions,
    EngineOptions,
    LocalOptions,
    OpenvinoOptions,
    RayOptions,
    ServerOptions,
    VllmOptions,
)
from shenhe.errors import needs, spelled


def create_engine(spec: EngineSpec[EngineOptions]) -> ServingEngine:
    """Create the engine that a spec describes.

    Raises: UsageError for an engine that is not installed; CheckpointError or AdapterError.
    """
    if is_for(spec, ServerOptions):
        from shenhe.engines.server import ServerEngine

        return ServerEngine(spec)
    if is_for(spec, RayOptions):
        with needs("ray", f"{spelled('engine', 'ray')}: "):
            from shenhe.engines.ray import RayEngine

        return RayEngine(spec, create_engine)
    if is_for(spec, DevicesOptions):
        from shenhe.engines.devices import DevicesEngine

        return DevicesEngine(spec, create_engine_here)
    return create_engine_here(spec)


def create_engine_here(spec: EngineSpec[EngineOptions]) -> ServingEngine:
    """Create an engine that runs a model in this process.

    Raises: UsageError if it is not installed; CheckpointError or AdapterError.
    """
    if is_for(spec, LocalOptions):
        with needs("local", f"{spelled('engine', 'local')}: "):
            from shenhe.engines.local.engine import LocalEngine

        return LocalEngine(spec)
    if is_for(spec, OpenvinoOptions):
        with needs("openvino", f"{spelled('engine', 'openvino')}: "):
            from shenhe.engines.openvino.engine import OpenvinoEngine

        return OpenvinoEngine(spec)
    if is_for(spec, VllmOptions):
        with needs("vllm", f"{spelled('engine', 'vllm')}: "):
            from shenhe.engines.vllm import VllmEngine

        return VllmEngine(spec)
    raise TypeError(f"no engine has options like {spec.engine!r}")
