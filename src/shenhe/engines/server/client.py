"""One server, asked again where that helps: what can pass is waited for, what cannot is told."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from shenhe.engines.base import EngineSpec
from shenhe.engines.server.completions import Body
from shenhe.engines.server.contact import (
    AGAIN,
    COMPLETIONS,
    NO_WAY_IN,
    TOO_MUCH,
    Contact,
    remedy,
)
from shenhe.engines.server.events import Events
from shenhe.engines.server.faults import AgainError, BadAnswerError, UnreachedError
from shenhe.engines.server.pacing import Breaker, Pace
from shenhe.engines.server.streaming import Streamed, Teller, is_events, read_body
from shenhe.engines.server.transport import Reply
from shenhe.engines.server.wire import Letter, Wire
from shenhe.errors import EngineError, ItemError, item_wall
from shenhe.messages import Answer, Request, RequestFailed
from shenhe.secrecy import MIN_LENGTH_IN_ANSWERS

log = logging.getLogger("shenhe.server")
MOST = 64
"""Requests under way at most, where --batch-size says nothing."""
TRIES = 12
"""A request is given up after so many failures that might have passed."""
NOBODY_HOME = frozenset({502, 503, 504})
"""What a gateway says while the server behind it is gone."""
NEVER, IN_A_ROW = 16, 200
"""A server that failed so often before its first answer, or since its last one, is given up."""


class Client:
    """Asks one server; lives in one event loop."""

    def __init__(self, spec: EngineSpec) -> None:
        """Connect to nothing yet.

        Raises: UsageError for an address or a key that cannot be.
        """
        self.contact = Contact(spec)
        self._address = self.contact.address
        self.pace = Pace(spec.batch_size or MOST)
        self._breaker = Breaker(self._address, self.contact.problem, spec.server_patience)
        self._photos = ThreadPoolExecutor(os.cpu_count() or 1, "photos")
        self._answered, self._failed, self._lost = False, 0, 0

    async def close(self) -> None:
        """Let go of the connections."""
        self._photos.shutdown(wait=False, cancel_futures=True)
        await self.contact.transport.close()

    async def answer(self, request: Request, wire: Wire) -> Answer | RequestFailed:
        """Ask until there is an answer, or none is to be had.

        Raises: EngineError when no request can be answered any more.
        """
        loop = asyncio.get_running_loop()
        try:
            letter = await loop.run_in_executor(self._photos, wire.write, request)
            answer = await self._until_answered(letter, wire)
        except BadAnswerError as error:
            self._tell_of_a_loss(error)
            return RequestFailed(
                request.key, error.code, self.contact.words(error), request.attempt
            )
        except ItemError as error:
            return RequestFailed(
                request.key, error.code, self.contact.words(error), request.attempt
            )
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
            except AgainError as error:
                if error.no_fault:
                    continue
                tries, why, told = tries + 1, str(error), error.told
                self._give_up_a_sick_server(why, error.most)
                if tries == TRIES:
                    message = f"the server failed {TRIES} times, at last: {why}"
                    raise ItemError("server_failed", message) from error
                pause = self.contact.patience.pause(tries, told)
            except BadAnswerError as error:
                bad, why = bad + 1, self.contact.words(error)
                if bad >= error.tries:
                    raise
                pause = self.contact.patience.short(bad)
            else:
                self.pace.widen()
                return answer
            log.info("%s: try %d: %s", letter.request.key, tries + bad, why)
            await asyncio.sleep(pause)

    async def stream(self, letter: Letter, told: Callable[[str], object]) -> Body:
        """Ask for one answer piece by piece, each handed to `told`; give the whole completion.

        Raises: EngineError if there is no server; ItemError for what is no answer.
        """
        whole, events = Streamed(), Events()
        teller = Teller(self.contact.secrets.at_least(MIN_LENGTH_IN_ANSWERS))

        def tell(some: Iterable[str]) -> None:
            for event in some:
                told(teller.feed(whole.add(event)))

        try:
            async with (
                asyncio.timeout(self.contact.seconds) as limit,
                self.contact.transport.opened(COMPLETIONS, letter.body) as response,
            ):
                limit.reschedule(None)  # an answer may be long, as long as it goes on
                pieces = self.contact.transport.pieces(response, self.contact.seconds)
                start = await self.contact.transport.beginning(pieces)
                if not is_events(start):
                    raw = start + b"".join([piece async for piece in pieces])
                    return self._whole(Reply(response.status, response.headers, raw))
                tell(events.feed(start))
                async for piece in pieces:
                    tell(events.feed(piece))
                tell(events.end())
        except (TimeoutError, UnreachedError) as error:
            why = self.contact.words(error)
            if isinstance(error, TimeoutError):
                why = f"no answer in {self.contact.seconds:g} s"
            raise EngineError(f"--base-url {self._address}: {why}") from error
        told(teller.end())
        return whole.body()

    async def _ask(self, letter: Letter, wire: Wire) -> Answer:
        """Ask once; the table of what can come instead of an answer.

        Raises: ItemError where asking again is in vain; BadAnswerError, AgainError where not.
        """
        try:
            async with asyncio.timeout(self.contact.seconds):
                reply = await self.contact.transport.send(COMPLETIONS, letter.body)
        except (UnreachedError, TimeoutError) as error:
            late = isinstance(error, TimeoutError)
            if late or getattr(error, "late", False):
                self.pace.narrow()
            why = f"no answer in {self.contact.seconds:g} s" if late else self.contact.words(error)
            raise AgainError(why, no_fault=self._breaker.missed()) from error
        except BadAnswerError:
            self._breaker.reached()
            raise
        if not reply.fine:
            raise self._of_status(reply)
        self._breaker.reached()
        with item_wall("bad_answer", "the server's answer", BadAnswerError):
            return wire.read(letter, read_body(reply.body))

    def _of_status(self, reply: Reply) -> Exception:
        status, why = reply.status, f"status {reply.status}: {self.contact.said(reply)}"
        gone = status in NOBODY_HOME and self._breaker.missed()
        if status not in NOBODY_HOME:
            self._breaker.reached()
        if status in NO_WAY_IN:
            # There was a way in when the first questions were asked: one such reply is only odd.
            return AgainError(f"{why}: {remedy(status)}", most=NEVER)
        if status not in AGAIN and status < 500:
            return ItemError("refused", why)
        if status in TOO_MUCH:
            self.pace.narrow()
        return AgainError(why, reply.headers.get("Retry-After"), no_fault=gone)

    def _whole(self, reply: Reply) -> Body:
        """Read an answer that came in one piece though it was to be streamed.

        Raises: EngineError, ItemError.
        """
        if not reply.fine:
            why = f"status {reply.status}: {self.contact.said(reply)}"
            if reply.status not in NO_WAY_IN:
                raise ItemError("refused", why)
            raise EngineError(f"--base-url {self._address}: {why}: {remedy(reply.status)}")
        return read_body(reply.body)

    def _give_up_a_sick_server(self, why: str, most: int | None) -> None:
        """Count failures in a row, of whatever requests: thousands that all fail help nobody.

        Raises: EngineError.
        """
        self._failed += 1
        if self._failed >= (most or (IN_A_ROW if self._answered else NEVER)):
            raise EngineError(
                f"--base-url {self._address}: the server failed {self._failed} times in a row:"
                f" {why}; see its own log, then run the same command again"
            )

    def _tell_of_a_loss(self, error: BadAnswerError) -> None:
        """Tell of the first question that was lost to odd answers, and give up after very many.

        Raises: EngineError.
        """
        why = self.contact.words(error)
        if not self._lost:
            log.warning("%s answers oddly: %s", self._address, why)
        self._lost += 1
        if self._lost >= IN_A_ROW:
            raise EngineError(
                f"--base-url {self._address}: {self._lost} questions in a row got no answer that"
                f" can be used: {why}"
            )
