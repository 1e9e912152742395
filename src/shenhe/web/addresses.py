"""Addresses of requests and of sites: which can be read, and which are this machine's own."""

from __future__ import annotations

import ipaddress
from urllib.parse import unquote, urlsplit

from fastapi import Request

MAX_ADDRESS = 16_000
"""Maximum length of a path or a query; the longest key of a group is far below. Units: bytes."""
DEFAULT_PORTS = {"http": 80, "https": 443}


def is_loopback(host: str) -> bool:
    """Whether a name or address is that of this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_readable(request: Request) -> bool:
    """Whether an address is UTF-8 without NUL and not too long."""
    query = request.scope["query_string"].decode("latin-1")
    path = request.scope.get("raw_path") or request.scope["path"].encode("utf-8", "replace")
    try:
        text = unquote(path.decode("ascii"), errors="strict") + unquote(query, errors="strict")
    except UnicodeDecodeError:
        return False
    return "\0" not in text and max(len(path), len(query)) <= MAX_ADDRESS


def read_host(address: str) -> str | None:
    """Give the host of an address without its port, in lower case; None for an invalid address."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:  # "[", or characters that Unicode normalises to delimiters
        return None


def is_of_host(origin: str | None, host: str) -> bool:
    """Whether an Origin, as browsers send it with each write, is that of a page of this host.

    >>> is_of_host("http://127.0.0.1:8770", "127.0.0.1:8770"), is_of_host("null", "null")
    (True, False)
    """
    return origin is not None and bool(read_host(origin)) and urlsplit(origin).netloc == host


def read_public_url(address: str) -> str:
    """Give the address of a site as browsers send it in Origin; empty where it is none.

    >>> read_public_url("https://Review.example:443/"), read_public_url("review.example/x")
    ('https://review.example', '')
    """
    try:
        parts = urlsplit(address)
        port, host = parts.port, parts.hostname or ""
    except ValueError:
        return ""
    beside = (parts.path.strip("/"), parts.query, parts.fragment, parts.username, parts.password)
    if parts.scheme not in DEFAULT_PORTS or not host or any(beside):
        return ""
    host = f"[{host}]" if ":" in host else host
    is_default = port in (None, DEFAULT_PORTS[parts.scheme])
    return f"{parts.scheme}://{host}" + ("" if is_default else f":{port}")
