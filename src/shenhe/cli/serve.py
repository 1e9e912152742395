"""`shenhe serve`: photos in over the network, verdicts out."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from socket import socket
from typing import TYPE_CHECKING, Annotated, Literal

from shenhe.cli.databases import DatabaseOptions
from shenhe.cli.loading import INFERRED_MODEL_HELP, LoadOptions, model_of_args
from shenhe.cli.serve_canary import CanaryOptions, try_checkpoint
from shenhe.cli.serve_keys import KeyOptions, change_keys, chosen_actions
from shenhe.cli.serve_upkeep import UpkeepOptions, keep_photos, maintain
from shenhe.cli.serve_watched import WatchedOptions, watching
from shenhe.cli.serve_work import model_at_work
from shenhe.cli.served_model import chat_model, check_checkpoint
from shenhe.cli.values import ByteSize
from shenhe.cli.work import PolicyOptions, TeachingOptions
from shenhe.errors import OptionError, needs
from shenhe.options import Count, Name, Whole, option, option_class, section
from shenhe.printable import show, wording
from shenhe.web.addresses import is_loopback

if TYPE_CHECKING:
    from shenhe.service.limits import Limits
    from shenhe.service.observing import RequestObserver

KEY = "SHENHE_API_KEY"


@option_class
class ServedLoadOptions(LoadOptions):
    """Options of a model that a process with the role api does without."""

    model: Name = option(
        f"{INFERRED_MODEL_HELP}; not needed with --role api", default="", metavar="PATH"
    )


@option_class
class LimitOptions:
    """What a client may hand in."""

    max_photos: Count = option("photos of one group", default=60, metavar="N")
    max_photo_size: ByteSize = option("of one photo", default=40_000_000, metavar="SIZE")
    max_group_size: ByteSize = option(
        "of all photos of one group", default=400_000_000, metavar="SIZE"
    )
    max_photo_pixels: Count = option("pixels of one photo", default=80_000_000, metavar="N")
    max_backlog: Count = option(
        "groups that may wait; further ones are told to come again later",
        default=20_000,
        metavar="N",
    )
    keep_free: ByteSize = option(
        "take in no photos while the disk has less than this free",
        default=1_000_000_000,
        metavar="SIZE",
    )
    rate: Annotated[int, Whole(0)] = option(
        "requests a minute of each key that has no rate of its own; 0: any number",
        default=0,
        metavar="N",
    )
    allow_host: tuple[str, ...] = option(
        "fetch photos from, and tell results to: a host, host:port or .domain; also the address or"
        " network of those that are not on the open internet",
        default=(),
        metavar="HOST",
        gathering="each",
    )


@option_class
class ServeOptions:
    """Options of the service."""

    load: ServedLoadOptions = section("model", default=ServedLoadOptions())
    data: Path = option("where jobs, photos and rows go", metavar="DIR")
    port: Annotated[int, Whole(0)] = option("0: any that is free", default=8770, metavar="N")
    host: str = option(
        "other than this machine's own: whoever asks needs a key, as that of SHENHE_API_KEY, which"
        " may do everything",
        default="127.0.0.1",
        metavar="ADDRESS",
    )
    role: Literal["all", "api", "worker"] = option(
        "api: only HTTP, without a model; worker: only the model; several of each may share"
        " --database and --data",
        default="all",
    )
    log_file: Path | None = option(
        "append a log to it, one JSON object a line", default=None, metavar="FILE"
    )
    traces: bool = option(
        "send OpenTelemetry traces to where OTEL_EXPORTER_OTLP_ENDPOINT says", default=False
    )
    team: DatabaseOptions = section(default=DatabaseOptions())
    limits: LimitOptions = section("limits", default=LimitOptions())
    keys: KeyOptions = section("keys", default=KeyOptions())
    upkeep: UpkeepOptions = section("upkeep", default=UpkeepOptions())
    watched: WatchedOptions = section("watched photos", default=WatchedOptions())
    canary: CanaryOptions = section("another checkpoint", default=CanaryOptions())
    policy: PolicyOptions = section("deciding", default=PolicyOptions())
    teaching: TeachingOptions = section(default=TeachingOptions())


def serve(options: ServeOptions) -> int:
    """Serve until SIGTERM or Ctrl-C, or change the keys, or back up or restore a service.

    Raises: OptionError for an address that needs a key; UsageError; RunError; CheckpointError;
    EngineError.
    """
    if chosen_actions(options.keys):
        return change_keys(options.keys, options.data, options.team.url)
    if options.upkeep.is_a_command:
        return maintain(options.upkeep, options.data, options.team.url)
    if options.canary.canary:
        return try_checkpoint(options.canary, options.load, options.policy, options.data)
    # Whoever answers for the model must not get the key of this service, nor a child inherit it.
    admin_key = "" if options.role == "worker" else os.environ.pop(KEY, "").strip()
    if options.role != "worker" and not is_loopback(options.host) and not admin_key:
        problem = f"whoever reaches it could ask: set {KEY} first"
        raise OptionError("host", options.host, problem)
    if options.role != "api":
        load = options.load
        model = model_of_args(load.model, load.adapters)
        options = replace(options, load=replace(load, model=model))
        check_checkpoint(options.load)
    options.watched.check()
    from shenhe.service.server import ended_by_broken_parts, ended_by_signals

    with ExitStack() as stack:
        stack.enter_context(ended_by_broken_parts())
        stack.enter_context(ended_by_signals())
        _serve(options, admin_key, stack)
    return 0


def _serve(options: ServeOptions, admin_key: str, stack: ExitStack) -> None:
    """Open what the role of this process needs, and serve until a signal ends it."""
    from shenhe.config import load_missions
    from shenhe.service.allowed_hosts import AllowedHosts
    from shenhe.service.keys import KeyRing
    from shenhe.service.server import make_service, serve_http, wait_for_signal
    from shenhe.service.store import open_store
    from shenhe.service.webhooks import SECRET, read_secret

    missions = load_missions(options.load.config.missions)
    hosts, limits = AllowedHosts(options.limits.allow_host), _limits(options.limits)
    given_secret = os.environ.get(SECRET, "").strip()
    secret = read_secret(given_secret) if given_secret else b""
    _speak(options, stack)
    listening = _listen(options, stack)
    store = stack.enter_context(closing(open_store(options.data, options.team.url)))
    stack.enter_context(keep_photos(options.upkeep, store, options.data))
    keys = KeyRing(store.database, admin_key, options.limits.rate)
    wake: Callable[[], object] = bool
    chat = None
    if options.role != "api":
        pipeline = stack.enter_context(
            model_at_work(
                options.load, options.policy, options.teaching, missions, options.data, store
            )
        )
        wake = pipeline.wake
        chat = chat_model(options.load, lambda: pipeline.model)
    find_problem = stack.enter_context(watching(options.watched, store, missions, wake))
    if listening is None:
        show(f"working the jobs of {store.database.name}", file=sys.stderr)
        wait_for_signal()
    else:
        service = make_service(store, options.data, missions, limits, hosts, secret, wake, chat)
        service = replace(service, find_problem=find_problem)
        _print_address(listening)
        serve_http(service, keys.find_caller, listening, _observers(options, stack))


def _speak(options: ServeOptions, stack: ExitStack) -> None:
    """Write messages in the language of each client, and the log where an option says.

    Raises: OptionError for a file that cannot be written.
    """
    from shenhe.cli.message_catalogue import in_chinese
    from shenhe.runs.observers.json_log import JsonLog
    from shenhe.service.client_language import for_clients

    stack.enter_context(wording(for_clients(in_chinese)))
    if options.log_file is not None:
        stack.enter_context(closing(JsonLog(options.log_file)))


def _observers(options: ServeOptions, stack: ExitStack) -> list[RequestObserver]:
    """Make the observers; their libraries are imported only when an option needs them.

    Raises: UsageError for one that cannot be started.
    """
    observers: list[RequestObserver] = []
    if options.traces:
        with needs("metrics"):
            from shenhe.service.tracing import RequestTracing
        observers.append(stack.enter_context(closing(RequestTracing())))
    return observers


def _listen(options: ServeOptions, stack: ExitStack) -> socket | None:
    """Listen before anything slow is begun; a worker does not."""
    from shenhe.web.listening import listen_on

    if options.role == "worker":
        return None
    return stack.enter_context(listen_on(options.host, options.port))


def _print_address(listening: socket) -> None:
    host, port = listening.getsockname()[:2]
    show(f"service: http://{f'[{host}]' if ':' in host else host}:{port}/")
    show("Ctrl-C ends it; what was accepted is on disk", file=sys.stderr)


def _limits(options: LimitOptions) -> Limits:
    from shenhe.service.limits import Limits

    return Limits(
        options.max_photos,
        options.max_photo_size,
        options.max_group_size,
        options.max_photo_pixels,
        options.max_backlog,
        options.keep_free,
    )
