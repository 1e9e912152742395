"""One server, asked again where that helps: what can pass is waited for, what cannot is told."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from pydantic_core import to_json

from shenhe.engines.base import EngineSpec
from shenhe.engines.server.completions import Body, read_json
from shenhe.engines.server.events import Events
from shenhe.engines.server.faults import (
    BadAnswerError,
    UnreachedError,
    complaint,
    one_line,
    torn,
)
from shenhe.engines.server.pacing import Breaker, Pace
from shenhe.engines.server.streaming import Streamed, Teller, read_body
from shenhe.engines.server.transport import Reply, Transport
from shenhe.engines.server.waiting import Patience
from shenhe.engines.server.wire import Letter, Wire
from shenhe.errors import EngineError, ItemError, item_wall
from shenhe.records import Answer, Failed, Request
from shenhe.secrecy import KEY_VARIABLES, LEAST_IN_ANSWERS

log = logging.getLogger("shenhe.server")
MOST = 64
"""Requests under way at most, where --batch-size says nothing."""
TRIES, PROBE_TRIES = 12, 3
"""A request is given up after so many failures that might have passed."""
AGAIN = frozenset({408, 409, 425, 429})
"""Statuses that pass, besides all from 500 on."""
TOO_MUCH = frozenset({429, 503, 529})
NOBODY_HOME = frozenset({502, 503, 504})
"""What a gateway says while the server behind it is gone."""
NEVER, IN_A_ROW = 16, 200
"""A server that failed so often before its first answer, or since its last one, is given up."""
NO_WAY_IN = frozenset({401, 403, 404})
"""No request can do better: a key, a right or a model that is not there."""
PROBLEM_SECONDS = 10.0
COMPLETIONS, MODELS = "chat/completions", "models"


class _AgainError(Exception):
    """What may pass: `told` is how long the server says to wait, `no_fault` that it is gone."""

    def __init__(
        self, why: str, told: str | None = None, *, no_fault: bool = False, most: int | None = None
    ) -> None:
        super().__init__(why)
        self.told, self.no_fault, self.most = told, no_fault, most


class Client:
    """Asks one server; lives in one event loop."""

    def __init__(self, spec: EngineSpec) -> None:
        """Connect to nothing yet.

        Raises: UsageError for an address or a key that cannot be.
        """
        self._transport = Transport(str(spec.base_url))
        self.address, self.secrets = self._transport.address, self._transport.secrets
        self._seconds = spec.request_timeout
        self.pace = Pace(spec.batch_size or MOST)
        self._patience = Patience(self.address, spec.server_patience)
        self._breaker = Breaker(self.address, self._problem, spec.server_patience)
        self._photos = ThreadPoolExecutor(os.cpu_count() or 1, "photos")
        self._answered, self._failed, self._lost = False, 0, 0

    async def close(self) -> None:
        """Let go of the connections."""
        self._photos.shutdown(wait=False, cancel_futures=True)
        await self._transport.close()

    async def models(self) -> list[Body]:
        """List the models of the server; none where its list cannot be read.

        Raises: EngineError.
        """
        for tries in range(PROBE_TRIES):
            if tries:
                await asyncio.sleep(self._patience.pause(tries))
            try:
                async with asyncio.timeout(self._seconds):
                    reply = await self._transport.send(MODELS)
                if reply.status == 200:
                    return _entries(read_json(reply.body))
                why = f"status {reply.status}: {self._said(reply)}"
            except (ItemError, TimeoutError) as error:
                why = self._words(error)
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
            told: str | None = None
            try:
                async with asyncio.timeout(self._seconds):
                    reply = await self._transport.send(COMPLETIONS, to_json(body))
                if reply.status == 200:
                    return read_body(reply.body)
                if reply.status in NO_WAY_IN and tries >= PROBE_TRIES:
                    raise self._no_way_in(reply)
                if reply.status < 500 and reply.status not in AGAIN | NO_WAY_IN:
                    return None
                told = reply.headers.get("Retry-After")
                most = TRIES if reply.status in TOO_MUCH else PROBE_TRIES
            except BadAnswerError:
                most = PROBE_TRIES
            except (ItemError, TimeoutError) as error:
                most = PROBE_TRIES if isinstance(error, UnreachedError) and not error.late else 0
                if tries >= most and (problem := await self._problem()):
                    raise EngineError(f"--base-url {self.address}: {problem}") from error
            if tries >= most:
                return None
            await asyncio.sleep(self._patience.pause(tries, told))

    async def answer(self, request: Request, wire: Wire) -> Answer | Failed:
        """Ask until there is an answer, or none is to be had.

        Raises: EngineError when no request can be answered any more.
        """
        loop = asyncio.get_running_loop()
        try:
            letter = await loop.run_in_executor(self._photos, wire.write, request)
            answer = await self._until_answered(letter, wire)
        except BadAnswerError as error:
            self._tell_of_a_loss(request, error)
            return Failed(request.key, error.code, self._words(error), request.attempt)
        except ItemError as error:
            return Failed(request.key, error.code, self._words(error), request.attempt)
        self._answered, self._failed, self._lost = True, 0, 0
        return answer

    async def _until_answered(self, letter: Letter, wire: Wire) -> Answer:
        """Ask again and again.

        Raises: ItemError when that is in vain; EngineError.
        """
        tries = bad = 0
        while True:
            await self._breaker.wait()
            try:
                async with self.pace:
                    answer = await self._ask(letter, wire)
            except _AgainError as error:
                if error.no_fault:
                    continue
                tries, why, told = tries + 1, str(error), error.told
                self._give_up_a_sick_server(why, error.most)
                if tries == TRIES:
                    message = f"the server failed {TRIES} times, at last: {why}"
                    raise ItemError("server_failed", message) from error
                pause = self._patience.pause(tries, told)
            except BadAnswerError as error:
                bad, why = bad + 1, self._words(error)
                if bad >= error.tries:
                    raise
                pause = self._patience.short(bad)
            else:
                self.pace.widen()
                return answer
            log.info("%s: try %d: %s", letter.request.key, tries + bad, why)
            await asyncio.sleep(pause)

    async def stream(self, letter: Letter, told: Callable[[str], object]) -> Body:
        """Ask for one answer piece by piece, each handed to `told`; give the whole completion.

        Raises: EngineError if there is no server; ItemError for what is no answer.
        """
        whole, events, teller = Streamed(), Events(), Teller(self.secrets.longer(LEAST_IN_ANSWERS))
        try:
            async with (
                asyncio.timeout(self._seconds) as limit,
                self._transport.opened(COMPLETIONS, letter.body) as response,
            ):
                limit.reschedule(None)  # an answer may be long, as long as it goes on
                pieces = self._transport.pieces(response, self._seconds)
                if response.status != 200 or response.content_type == "application/json":
                    raw = b"".join([piece async for piece in pieces])
                    return self._whole(Reply(response.status, response.headers, raw))
                async for piece in pieces:
                    for event in events.feed(piece):
                        told(teller.feed(whole.add(event)))
                for event in events.end():
                    told(teller.feed(whole.add(event)))
        except TimeoutError as error:
            raise EngineError(
                f"--base-url {self.address}: no answer in {self._seconds:g} s"
            ) from error
        except UnreachedError as error:
            raise EngineError(f"--base-url {self.address}: {self._words(error)}") from error
        told(teller.end())
        return whole.body()

    async def _ask(self, letter: Letter, wire: Wire) -> Answer:
        """Ask once; the table of what can come instead of an answer.

        Raises: ItemError where asking again is in vain; BadAnswerError, _AgainError where not.
        """
        try:
            async with asyncio.timeout(self._seconds):
                reply = await self._transport.send(COMPLETIONS, letter.body)
        except (UnreachedError, TimeoutError) as error:
            late = isinstance(error, TimeoutError)
            if late or (isinstance(error, UnreachedError) and error.late):
                self.pace.narrow()
            why = f"no answer in {self._seconds:g} s" if late else self._words(error)
            raise _AgainError(why, no_fault=self._breaker.missed()) from error
        except BadAnswerError:
            self._breaker.reached()
            raise
        if reply.status != 200:
            raise self._of_status(reply)
        self._breaker.reached()
        with item_wall("bad_answer", "the server's answer", BadAnswerError):
            return wire.read(letter, read_body(reply.body))

    def _of_status(self, reply: Reply) -> Exception:
        status, why = reply.status, f"status {reply.status}: {self._said(reply)}"
        gone = status in NOBODY_HOME and self._breaker.missed()
        if status not in NOBODY_HOME:
            self._breaker.reached()
        if status in NO_WAY_IN:
            # There was a way in when the first questions were asked: one such reply is only odd.
            return _AgainError(f"{why}: {_remedy(status)}", most=NEVER)
        if status not in AGAIN and status < 500:
            return ItemError("refused", why)
        if status in TOO_MUCH:
            self.pace.narrow()
        return _AgainError(why, reply.headers.get("Retry-After"), no_fault=gone)

    def _whole(self, reply: Reply) -> Body:
        """Read an answer that came in one piece though it was to be streamed.

        Raises: EngineError, ItemError.
        """
        if reply.status in NO_WAY_IN:
            raise self._no_way_in(reply)
        if reply.status != 200:
            raise ItemError("refused", f"status {reply.status}: {self._said(reply)}")
        return read_body(reply.body)

    def _give_up_a_sick_server(self, why: str, most: int | None) -> None:
        """Count failures in a row, of whatever requests: thousands that all fail help nobody.

        Raises: EngineError.
        """
        self._failed += 1
        if self._failed >= (most or (IN_A_ROW if self._answered else NEVER)):
            raise EngineError(
                f"--base-url {self.address}: the server failed {self._failed} times in a row:"
                f" {why}; see its own log, then run the same command again"
            )

    def _tell_of_a_loss(self, request: Request, error: BadAnswerError) -> None:
        """Tell of the first question that was lost to odd answers, and give up after very many.

        Raises: EngineError.
        """
        why = self._words(error)
        if not self._lost:
            log.warning("%s answers oddly: %s", self.address, why)
        self._lost += 1
        if self._lost >= IN_A_ROW:
            raise EngineError(
                f"--base-url {self.address}: {self._lost} questions in a row got no answer that can"
                f" be used: {why}"
            )

    async def _problem(self) -> str:
        """Say what is wrong with the server, or nothing."""
        try:
            async with asyncio.timeout(PROBLEM_SECONDS):
                reply = await self._transport.send(MODELS)
        except BadAnswerError:
            return ""
        except (ItemError, TimeoutError) as error:
            return self._words(error)
        return f"status {reply.status}" if reply.status >= 500 else ""

    def _no_way_in(self, reply: Reply) -> EngineError:
        why = f"status {reply.status}: {self._said(reply)}: {_remedy(reply.status)}"
        return EngineError(f"--base-url {self.address}: {why}")

    def _said(self, reply: Reply) -> str:
        """Give what a server says of a refusal, in its own words where it has any."""
        text = reply.body.decode("utf-8", "replace")
        with suppress(BadAnswerError):
            text = complaint(read_json(text)) or text
        return self._words(text)

    def _words(self, said: object) -> str:
        return one_line(said, self.secrets) or type(said).__name__


def _remedy(status: int) -> str:
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
