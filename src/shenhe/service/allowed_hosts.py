"""Hosts that the service itself may reach: those that `--allow-host` names, and no others.

A name may lead anywhere, also to this machine or into a private network, and may lead elsewhere a
moment later. So addresses are checked as they are connected to.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from aiohttp import abc
from aiohttp.resolver import ThreadedResolver

from shenhe.errors import OptionError
from shenhe.web.addresses import DEFAULT_PORTS

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
MAX_LABEL: Final = 63
"""Length of a part of a name, between dots."""


class ForeignHostError(ValueError):
    """A URL that leads to where the service may not go; its text says why."""


class HostName(NamedTuple):
    """A name that was allowed: `.example.com` stands for all below it; port 0 for the usual ones.

    Example:
        HostName("photos.example.com", 8443)

    """

    name: str
    port: int = 0

    def covers(self, host: str, port: int, scheme: str) -> bool:
        """Whether a host and port are those that the name allows."""
        is_name = host == self.name
        if self.name.startswith("."):
            is_name = host.endswith(self.name) and _is_name(host)
        return is_name and port == (self.port or DEFAULT_PORTS[scheme])


class AllowedHosts:
    """The hosts that may be reached; private addresses only where they are named themselves.

    >>> hosts = AllowedHosts(["photos.example.com", "10.1.0.0/16"])
    >>> hosts.check("https://photos.example.com/1.jpg")
    >>> hosts.accepts(ipaddress.ip_address("10.1.2.3")), hosts.accepts(
    ...     ipaddress.ip_address("127.0.0.1")
    ... )
    (True, False)
    """

    def __init__(self, entries: Sequence[str]) -> None:
        """Read names, `name:port`, `.domain`, addresses and networks.

        Raises: OptionError for what is none of these.
        """
        self._names: list[HostName] = []
        self._networks: list[Network] = []
        self._of_names: list[tuple[Address, int]] = []
        """Addresses that stand as names, each with its port."""
        for entry in entries:
            self._add(entry)

    @property
    def is_empty(self) -> bool:
        """Whether nothing may be reached."""
        return not self._names and not self._networks

    def check(self, url: str) -> None:
        """Check a URL before anything is sent to it.

        Raises: ForeignHostError.
        """
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").lower(), parts.port
        except ValueError as error:
            raise ForeignHostError("no URL that can be read") from error
        if parts.scheme not in DEFAULT_PORTS or not host or not url.isprintable():
            raise ForeignHostError("give a URL with http:// or https:// and a host")
        if parts.username is not None or parts.password is not None:
            raise ForeignHostError("a URL with a user or a password is not used")
        port = port or DEFAULT_PORTS[parts.scheme]
        if any(name.covers(host, port, parts.scheme) for name in self._names):
            return
        address = _address(host)
        if address is None or not self._is_named(address):
            raise ForeignHostError(f"{host[:200]} is not among the hosts that may be reached")

    def accepts(self, address: Address, port: int = 0) -> bool:
        """Whether an address that a name led to may be connected to at a port."""
        meant = _meant(address)
        is_named = self._is_named(meant) or (meant, port) in self._of_names
        is_reserved = meant.is_reserved or getattr(meant, "is_site_local", False)
        is_open = meant.is_global and not meant.is_multicast and not is_reserved
        return is_named or is_open

    def _is_named(self, address: Address) -> bool:
        return any(address in network for network in self._networks)

    def _add(self, entry: str) -> None:
        problem = "give a host, host:port, .domain, or the address or network of hosts"
        try:
            self._networks.append(ipaddress.ip_network(entry))
        except ValueError:
            pass
        else:
            return
        try:
            parts = urlsplit(f"//{entry}")
            host, port = (parts.hostname or "").lower(), parts.port or 0
        except ValueError as error:
            raise OptionError("allow_host", entry, problem) from error
        if not host or parts.path or parts.query or parts.username is not None:
            raise OptionError("allow_host", entry, problem)
        self._names.append(HostName(host, port))
        address = _address(host)
        if address is not None:
            self._of_names.append((address, port))


class GuardedResolver(abc.AbstractResolver):
    """Resolves names to the addresses that may be connected to, and to no others."""

    def __init__(self, hosts: AllowedHosts) -> None:
        self._hosts, self._resolver = hosts, ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[abc.ResolveResult]:
        """Resolve a name.

        Raises: OSError where none of its addresses may be connected to.
        """
        try:
            results = await self._resolver.resolve(host, port, family)
        except UnicodeError as error:  # a part of the name that is too long
            raise OSError(f"{host} is no name that can be looked up") from error
        allowed = [
            result
            for result in results
            if (address := _address(result["host"])) is not None
            and self._hosts.accepts(address, port)
        ]
        if not allowed:
            raise OSError(f"{host} leads to an address that is not named itself")
        return allowed

    async def close(self) -> None:
        """Close the resolver."""
        await self._resolver.close()


def _is_name(host: str) -> bool:
    """Whether a resolver can be asked for a name; of others it raises what nobody expects."""
    labels = host.split(".")
    is_plain = re.fullmatch(r"[^\s:%\\\[\]]+", host) is not None
    return is_plain and all(0 < len(label) <= MAX_LABEL for label in labels)


def _meant(address: Address) -> Address:
    """Give the IPv4 address that one of IPv6 stands for, where it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _address(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
