"""`shenhe review`: the web app, or the files it exports."""

from __future__ import annotations

import argparse
import logging
import os
import secrets
import socket
import sys
from pathlib import Path

import uvicorn

from shenhe.config import load_missions, load_prompts
from shenhe.errors import UsageError
from shenhe.printable import show
from shenhe.review import (
    Index,
    Prompting,
    Review,
    create_app,
    default_reviewer,
    write_exports,
)
from shenhe.review.access import is_loopback

TOKEN = "SHENHE_REVIEW_TOKEN"
GRACE = 1
"""Units: seconds that requests under way have to end after Ctrl-C."""


def review(options: argparse.Namespace) -> int:
    """Serve the pages until interrupted, or write the exports."""
    prompting = Prompting(load_missions(options.missions), load_prompts(options.prompts))
    show(f"reading {options.run_dir} ...", file=sys.stderr)
    index = Index(options.run_dir, options.captions)
    if options.export is not None:
        return _export(options.export, index, prompting)
    here = is_loopback(options.host)
    token = os.environ.get(TOKEN) or (None if here else secrets.token_urlsafe(24))
    found = Review(options.run_dir.resolve().name, index, prompting)
    reviewer = options.reviewer or (default_reviewer() if token is None else None)
    app = create_app(found, token, reviewer)
    config = uvicorn.Config(
        app,
        log_level="warning",
        timeout_graceful_shutdown=GRACE,
        access_log=False,
        server_header=False,
    )
    server = uvicorn.Server(config)
    # Requests that Ctrl-C cuts off are nothing to tell of: what was answered is on disk.
    logging.getLogger("uvicorn.error").addFilter(lambda record: not server.should_exit)
    with _listening(options.host, options.port) as listening:
        host, port = listening.getsockname()[:2]
        name = socket.gethostname() if host in ("0.0.0.0", "::") else host  # noqa: S104
        address = f"http://{f'[{name}]' if ':' in name else name}:{port}/"
        if token is not None:
            address += f"login?token={token}"
            show("whoever has this address may read and decide:", file=sys.stderr)
        show(f"review: {address}")
        show("Ctrl-C ends it; what was decided is on disk", file=sys.stderr)
        server.run(sockets=[listening])
    return 0


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(128)
    except (OSError, OverflowError) as error:
        listening.close()
        told = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"--host {host} --port {port}: {told}; name another") from error
    return listening


def _export(folder: Path, index: Index, prompting: Prompting) -> int:
    for path, made in write_exports(folder, index, prompting).items():
        show(f"{path}: {made.rows} rows")
        for why, count in sorted(made.left_out.items()):
            show(f"  left out: {count}, {why}", file=sys.stderr)
    return 0
