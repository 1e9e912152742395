"""Photos by URL: fetched from hosts that are allowed, with the limits of what is uploaded."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote, urlsplit

import aiohttp
from fastapi.concurrency import run_in_threadpool

from shenhe.secrecy import redact_url
from shenhe.service.allowed_hosts import AllowedHosts, ForeignHostError, GuardedResolver
from shenhe.service.inbox import Reception
from shenhe.service.multipart import clean_name
from shenhe.service.refusals import RefusedError

CONNECT_SECONDS: Final = 10
PHOTO_SECONDS: Final = 60
GROUP_SECONDS: Final = 300
"""How long all photos of a group may take together: it has a place that others may want."""
CHUNK: Final = 1 << 18


class PhotoFetcher:
    """Fetches photos, one after the other for each group.

    Example:
        await PhotoFetcher(AllowedHosts(["photos.example.com"])).fetch(urls, reception)

    """

    def __init__(self, hosts: AllowedHosts) -> None:
        """Fetch from these hosts alone."""
        self.hosts = hosts

    async def fetch(self, urls: Sequence[str], reception: Reception) -> None:
        """Fetch the photos of a group in their order.

        Raises: RefusedError for a URL that leads elsewhere, an answer that is no photo, or one over
        a limit; RunError.
        """
        for url in urls:
            self._check(url)
        timeout = aiohttp.ClientTimeout(total=PHOTO_SECONDS, sock_connect=CONNECT_SECONDS)
        connector = aiohttp.TCPConnector(resolver=GuardedResolver(self.hosts), use_dns_cache=False)
        try:
            async with (
                asyncio.timeout(GROUP_SECONDS),
                aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            ):
                for url in urls:
                    await self._fetch_photo(session, url, reception)
        except TimeoutError as error:
            problem = f"photos: not all of them were fetched within {GROUP_SECONDS:g} s"
            raise RefusedError(422, "not_fetched", problem) from error

    def _check(self, url: str) -> None:
        try:
            self.hosts.check(url)
        except ForeignHostError as error:
            problem = f"photos: {redact_url(url)[:300]}: {error}"
            raise RefusedError(400, "host_not_allowed", problem) from error

    async def _fetch_photo(
        self, session: aiohttp.ClientSession, url: str, reception: Reception
    ) -> None:
        shown = redact_url(url)[:300]
        try:
            async with session.get(url, allow_redirects=False) as response:
                if response.status != 200:
                    problem = f"photos: {shown}: answered {response.status}"
                    raise RefusedError(422, "not_fetched", problem)
                name = clean_name(unquote(urlsplit(url).path))
                await run_in_threadpool(reception.begin_photo, name)
                async for chunk in response.content.iter_chunked(CHUNK):
                    await run_in_threadpool(reception.write, chunk)
            await run_in_threadpool(reception.end_photo)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            told = str(error).replace(url, shown)
            problem = f"photos: {shown}: {told or 'no answer in time'}"
            raise RefusedError(422, "not_fetched", problem) from error
