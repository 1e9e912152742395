"""Specs of engines that ask a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields

from shenhe.engines.base import EngineSpec
from shenhe.engines.create import create_engine
from shenhe.engines.options import ServerOptions
from shenhe.engines.server import ServerEngine

_OF_A_SERVER = {field.name for field in fields(ServerOptions)}


def server_spec(url: str, model: str = "scripted", **options: object) -> EngineSpec[ServerOptions]:
    """Describe a server at a URL; options are those of servers and of models."""
    server = {name: value for name, value in options.items() if name in _OF_A_SERVER}
    model_options = {name: value for name, value in options.items() if name not in _OF_A_SERVER}
    engine = ServerOptions(base_url=url, **server)  # type: ignore[arg-type]
    return EngineSpec(model=model, engine=engine, **model_options)  # type: ignore[arg-type]


@contextmanager
def server_engines() -> Iterator[Callable[..., ServerEngine]]:
    """Give a function that makes the engine of a server, as `server_spec`; all are closed."""
    with ExitStack() as stack:

        def make(url: str, model: str = "scripted", **options: object) -> ServerEngine:
            engine = create_engine(server_spec(url, model, **options))
            assert isinstance(engine, ServerEngine)
            stack.callback(engine.close)
            return engine

        yield make
