"""Webhooks: results are told to the URL that a client gave, signed, again until it answers.

They are those of standardwebhooks.com: `webhook-id`, `webhook-timestamp` and `webhook-signature`,
which is `v1,` and the base64 of the HMAC-SHA256 of `id.timestamp.body` by the shared secret.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import logging
import time
from collections import Counter
from contextlib import suppress
from typing import Final

import aiohttp
from fastapi.concurrency import run_in_threadpool

from shenhe.errors import ConfigError, ItemError, RunError, item_wall
from shenhe.row_types import utc_now
from shenhe.secrecy import redact_url
from shenhe.service.allowed_hosts import AllowedHosts, ForeignHostError, GuardedResolver
from shenhe.service.deliveries import EACH, PAGE, Deliveries, Delivery, receiver_of
from shenhe.service.jobs import Job
from shenhe.service.photo_uses import show_with_uses
from shenhe.service.store import JobStore

log = logging.getLogger("shenhe.service")
SECRET: Final = "SHENHE_WEBHOOK_SECRET"
PREFIX: Final = "whsec_"
MIN_SECRET: Final = 16
"""Length of the shortest secret. Units: bytes."""
LOOK_SECONDS: Final = 0.5
AWAY_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 15.0
AT_ONCE: Final = 64
"""How many results are told at once, to all receivers together."""
GONE: Final = 410
"""The answer of who never wants to be told of this again."""


def read_secret(text: str) -> bytes:
    """Read a secret: `whsec_` and base64, or any other text as it is.

    Raises: ConfigError for one that is too short, or no base64.

    >>> read_secret("whsec_" + "QUJD" * 8)[:3]
    b'ABC'
    """
    try:
        encoded = text.removeprefix(PREFIX)
        secret = base64.b64decode(encoded, validate=True) if encoded != text else text.encode()
    except binascii.Error as error:
        raise ConfigError(f"{SECRET}: after {PREFIX} stands base64") from error
    if len(secret) < MIN_SECRET:
        raise ConfigError(f"{SECRET}: give at least {MIN_SECRET} bytes")
    return secret


def sign(secret: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """Sign a message.

    >>> sign(b"secret", "1", 1700000000, b"{}")
    'v1,PgYwgCReYGi/nHIJstsSuGGjDNi/hpmSB4ghtTP1cA4='
    """
    content = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.new(secret, content, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


class Webhooks:
    """Tells results while it runs; several processes may share the deliveries.

    Example:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(webhooks.run())

    """

    def __init__(
        self, store: JobStore, deliveries: Deliveries, hosts: AllowedHosts, secret: bytes
    ) -> None:
        """Tell hosts that are allowed, with messages that are signed."""
        self._store, self.deliveries = store, deliveries
        self._hosts, self._secret = hosts, secret
        self._in_hand: Counter[str] = Counter()
        self._has_room = asyncio.Event()

    async def run(self) -> None:
        """Tell results until the task is cancelled."""
        self._in_hand, self._has_room = Counter(), asyncio.Event()
        connector = aiohttp.TCPConnector(resolver=GuardedResolver(self._hosts), use_dns_cache=False)
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            asyncio.TaskGroup() as tasks,
        ):
            while True:
                self._has_room.clear()
                self._in_hand = +self._in_hand
                try:
                    due = await run_in_threadpool(self._find_due, self._in_hand.copy())
                except RunError as error:
                    log.warning("webhooks wait: %s", error)
                    await asyncio.sleep(AWAY_SECONDS)
                    continue
                for delivery in due:
                    self._in_hand[receiver_of(delivery.url)] += 1
                    tasks.create_task(self._tell_apart(session, delivery))
                if not due:
                    # asyncio.wait_for of Python 3.11 forgets a cancellation beside its end.
                    with suppress(TimeoutError):
                        async with asyncio.timeout(LOOK_SECONDS):
                            await self._has_room.wait()

    def _find_due(self, in_hand: Counter[str]) -> list[Delivery]:
        while self.deliveries.note() == PAGE:
            pass
        room = {receiver: EACH - count for receiver, count in in_hand.items()}
        return self.deliveries.take(AT_ONCE - in_hand.total(), room)

    async def _tell_apart(self, session: aiohttp.ClientSession, delivery: Delivery) -> None:
        """Tell one result beside others; where that cannot be noted, it is due again."""
        try:
            await self._tell(session, delivery)
        except RunError as error:
            log.warning("webhooks wait: %s", error)
        finally:
            self._in_hand[receiver_of(delivery.url)] -= 1
            self._has_room.set()

    async def _tell(self, session: aiohttp.ClientSession, delivery: Delivery) -> None:
        """Tell one result, and note how that ended.

        Raises: DatabaseAwayError; RunError.
        """
        job = await run_in_threadpool(self._store.get, delivery.job_id)
        answer, status = "gone", GONE
        if job is not None:
            try:
                # Whatever a URL brings about is the failure of its own delivery: the others go on.
                with item_wall("webhook", "webhook"):
                    answer, status = await self._send(session, delivery, job)
            except ItemError as error:
                answer, status = str(error), 0
        is_told = 200 <= status < 300
        if not is_told:
            log.warning("webhook of job %s was not taken: %s", delivery.job_id, answer)
        await run_in_threadpool(
            lambda: self.deliveries.end(delivery, answer, is_told=is_told, is_final=status == GONE)
        )

    async def _send(
        self, session: aiohttp.ClientSession, delivery: Delivery, job: Job
    ) -> tuple[str, int]:
        """Send a message; gives what came of it, and the status of the answer, 0 without one."""
        (shown,) = await run_in_threadpool(show_with_uses, self._store, [job])
        message = {"type": f"group.{job.state}", "timestamp": utc_now(), "data": shown}
        body = json.dumps(message, ensure_ascii=False).encode()
        timestamp = int(time.time())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "shenhe",
            "webhook-id": job.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(self._secret, job.id, timestamp, body),
        }
        try:
            self._hosts.check(delivery.url)
            async with session.post(
                delivery.url, data=body, headers=headers, allow_redirects=False
            ) as response:
                return str(response.status), response.status
        except ForeignHostError as error:
            return str(error), 0
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            told = str(error).replace(delivery.url, redact_url(delivery.url))
            return told or type(error).__name__, 0
