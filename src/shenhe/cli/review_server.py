"""The server of the review app: its address, its token, its end."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import sys
from collections.abc import Sequence
from typing import NamedTuple

import uvicorn

from shenhe.errors import OptionError
from shenhe.printable import show
from shenhe.review import Review, create_app, default_reviewer
from shenhe.secrecy import redact_url
from shenhe.team import People
from shenhe.web.addresses import is_loopback, read_public_url
from shenhe.web.connections import configure
from shenhe.web.listening import listen_on

TOKEN = "SHENHE_REVIEW_TOKEN"
GRACE_SECONDS = 1
"""How long requests under way have to end after Ctrl-C."""


class Address(NamedTuple):
    """Where the server listens, and where browsers find it behind which proxies."""

    host: str
    port: int
    public_url: str = ""
    proxies: Sequence[str] = ()


def serve(review: Review, reviewer: str | None, address: Address) -> None:
    """Serve a run's pages until Ctrl-C.

    Raises: OptionError for a public address that is none; UsageError for an address that cannot be
    listened on.
    """
    public_url = read_public_url(address.public_url)
    if address.public_url and not public_url:
        problem = "give http:// or https:// and a host, without a path"
        raise OptionError("public_url", redact_url(address.public_url), problem)
    people = People.of(review.index.database)
    # Behind a proxy whoever reaches the proxy reaches the pages.
    is_open = bool(public_url) or not is_loopback(address.host)
    token = os.environ.get(TOKEN) or (secrets.token_urlsafe(24) if is_open else None)
    reviewer = reviewer or (default_reviewer() if token is None else None)
    app = create_app(review, token, reviewer, public_url, people)
    # Nobody is believed unless named: also not a process of this machine.
    config = configure(app, GRACE_SECONDS, list(address.proxies))
    server = uvicorn.Server(config)
    # Requests that Ctrl-C cuts off are no errors: what was answered is on disk.
    logging.getLogger("uvicorn.error").addFilter(lambda record: not server.should_exit)
    with listen_on(address.host, address.port) as listening:
        _print_address(listening, public_url, None if people.accounts.exist() else token)
        server.run(sockets=[listening])


def _print_address(listening: socket.socket, public_url: str, token: str | None) -> None:
    host, port = listening.getsockname()[:2]
    name = socket.gethostname() if host in ("0.0.0.0", "::") else host  # noqa: S104
    own = f"http://{f'[{name}]' if ':' in name else name}:{port}"
    address = f"{public_url or own}/"
    if public_url:
        show(f"listening on {own} for the proxy", file=sys.stderr)
    if token is not None:
        address += f"login?token={token}"
        show("whoever has this address may read and decide:", file=sys.stderr)
    show(f"review: {address}")
    show("Ctrl-C ends it; what was decided is on disk", file=sys.stderr)
