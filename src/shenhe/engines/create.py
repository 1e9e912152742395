"""From an EngineSpec to its engine; each engine's libraries are imported only when asked for."""

from __future__ import annotations

from shenhe.engines.base import Engine, EngineSpec
from shenhe.errors import UsageError, needs

ENGINES = ("local", "vllm", "server", "ray")


def create_engine(spec: EngineSpec) -> Engine:
    """Create the engine that a spec describes.

    Raises: UsageError for an engine there is none of; CheckpointError or AdapterError.
    """
    if spec.engine == "local":
        from shenhe.engines.local.engine import LocalEngine

        return LocalEngine(spec)
    if spec.engine == "vllm":
        with needs("vllm", "--engine vllm: "):
            from shenhe.engines.vllm import VllmEngine

        return VllmEngine(spec)
    if spec.engine == "server":
        from shenhe.engines.server import ServerEngine

        return ServerEngine(spec)
    if spec.engine == "ray":
        with needs("ray", "--engine ray: "):
            from shenhe.engines.ray import RayEngine

        return RayEngine(spec, create_engine)
    raise UsageError(f"--engine {spec.engine}: use one of {', '.join(ENGINES)}")
