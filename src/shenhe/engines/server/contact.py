"""The first questions to a server: what models it has, what it takes, whether it is there."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Final

from pydantic_core import to_json

from shenhe.engines.base import EngineSpec
from shenhe.engines.options import ServerOptions
from shenhe.engines.server.completions import Body, first_choice, read_json
from shenhe.engines.server.faults import (
    AgainError,
    BadAnswerError,
    UnreachedError,
    complaint,
    one_line,
    torn,
)
from shenhe.engines.server.streaming import read_body
from shenhe.engines.server.transport import Reply, Transport
from shenhe.engines.server.waiting import Patience
from shenhe.errors import EngineError, ItemError, item_wall
from shenhe.secrecy import KEY_VARIABLES

log = logging.getLogger("shenhe.server")
COMPLETIONS, MODELS = "chat/completions", "models"
PROBE_TRIES, BUSY_TRIES = 3, 5
"""So often a first question is asked that is not answered, or that the server has no time for."""
PROBLEM_SECONDS, LONGEST_AT_FIRST = 10.0, 10.0
AGAIN: Final = frozenset({408, 409, 425, 429})
"""Statuses that pass, besides all from 500 on."""
TOO_MUCH: Final = frozenset({429, 503, 529})
NO_WAY_IN: Final = frozenset({401, 403, 404})
"""No request can do better: a key, a right or a model that is not there."""


class Contact:
    """What is known of one server, and how to ask it once; lives in one event loop."""

    def __init__(self, spec: EngineSpec[ServerOptions]) -> None:
        """Connect to nothing yet.

        Raises: UsageError for an address or a key that cannot be.
        """
        self.transport = Transport(str(spec.engine.base_url))
        self.address, self.secrets = self.transport.address, self.transport.secrets
        self.seconds = spec.engine.request_timeout
        self.patience = Patience(self.address, spec.engine.server_patience)

    async def models(self) -> list[Body]:
        """List the models of the server; none where its list cannot be read.

        Raises: EngineError.
        """
        for tries in range(PROBE_TRIES):
            if tries:
                await asyncio.sleep(self.patience.pause(tries))
            try:
                async with asyncio.timeout(self.seconds):
                    reply = await self.transport.send(MODELS)
                if reply.fine:
                    return _entries(read_json(reply.body))
                why = f"status {reply.status}: {self.said(reply)}"
            except (ItemError, TimeoutError) as error:
                why = self.words(error)
        raise EngineError(
            f"--base-url {self.address}: no OpenAI-compatible server there: {why};"
            " the address ends in /v1 as a rule"
        )

    async def try_once(self, body: Body) -> Body | None:
        """Ask for a completion to see what the server takes; None where it refuses.

        What may pass is asked again a few times; what comes oddly each time is a refusal.
        Raises: EngineError if there is no way in, or nobody there.
        """
        tries = 0
        while True:
            tries += 1
            try:
                return await self._try(to_json(body))
            except ItemError:
                return None
            except AgainError as error:
                last = error
            if tries >= (last.most or PROBE_TRIES):
                break
            await asyncio.sleep(min(LONGEST_AT_FIRST, self.patience.pause(tries, last.told)))
        if last.no_way_in or (last.no_fault and await self.problem()):
            raise EngineError(f"--base-url {self.address}: {last}") from last
        log.info("%s cannot do what it was asked first: %s", self.address, last)
        return None

    async def _try(self, body: bytes) -> Body:
        """Ask once.

        Raises: ItemError for a refusal; AgainError for what may pass.
        """
        try:
            async with asyncio.timeout(self.seconds):
                reply = await self.transport.send(COMPLETIONS, body)
            if reply.fine:
                with item_wall("bad_answer", "the server's answer", BadAnswerError):
                    found = read_body(reply.body)
                if first_choice(found) is None:
                    raise torn("no completion: no choices")
                return found
        except BadAnswerError as error:
            raise AgainError(self.words(error)) from error
        except TimeoutError as error:
            why = f"no answer in {self.seconds:g} s"
            raise AgainError(why, no_fault=True, most=1) from error
        except UnreachedError as error:
            raise AgainError(self.words(error), no_fault=True) from error
        why = f"status {reply.status}: {self.said(reply)}"
        if reply.status in NO_WAY_IN:
            raise AgainError(f"{why}: {remedy(reply.status)}", no_way_in=True)
        if reply.status < 500 and reply.status not in AGAIN:
            raise ItemError("refused", why)
        most = BUSY_TRIES if reply.status in TOO_MUCH else PROBE_TRIES
        raise AgainError(why, reply.headers.get("Retry-After"), most=most)

    async def problem(self) -> str:
        """Say what is wrong with the server, or nothing."""
        try:
            async with asyncio.timeout(PROBLEM_SECONDS):
                reply = await self.transport.send(MODELS)
        except BadAnswerError:
            return ""
        except (ItemError, TimeoutError) as error:
            return self.words(error)
        return f"status {reply.status}" if reply.status >= 500 else ""

    def said(self, reply: Reply) -> str:
        """Give what a server says of a refusal, in its own words where it has any."""
        text = reply.body.decode("utf-8", "replace")
        with suppress(BadAnswerError):
            text = complaint(read_json(text)) or text
        return self.words(text)

    def words(self, said: object) -> str:
        """Tell in one harmless line what somebody said."""
        return one_line(said, self.secrets) or ("no words" if said == "" else type(said).__name__)


def remedy(status: int) -> str:
    """Say what to do about a server that lets nobody in."""
    keys = " or ".join(KEY_VARIABLES)
    what = {404: "no such model or address", 401: f"set the key in {keys}"}
    return what.get(status, f"the key in {keys} has no right to it")


def _entries(listing: object) -> list[Body]:
    """Give the models of a list that have a name.

    Raises: BadAnswerError for what is no list of models at all.
    """
    if not isinstance(listing, dict) or not ("data" in listing or "models" in listing):
        raise torn("its list of models is none")
    data = listing.get("data") or listing.get("models")
    entries = data if isinstance(data, list) else []
    return [one for one in entries if isinstance(one, dict) and isinstance(one.get("id"), str)]
