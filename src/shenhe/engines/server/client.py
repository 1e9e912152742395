"""Requests to one server, with retries: failures that may pass are retried, others reported."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from shenhe.engines.base import EngineSpec
from shenhe.engines.options import ServerOptions
from shenhe.engines.server.codec import Codec, EncodedRequest
from shenhe.engines.server.completions import Body
from shenhe.engines.server.concurrency import AdaptiveLimit, CircuitBreaker
from shenhe.engines.server.endpoint import (
    COMPLETIONS,
    DENIED,
    OVERLOADED,
    Endpoint,
    describe_denial,
    is_retryable,
)
from shenhe.engines.server.events import EventParser
from shenhe.engines.server.faults import BadAnswerError, RetryableError, UnreachableError
from shenhe.engines.server.streaming import (
    StreamedCompletion,
    StreamRedactor,
    read_body,
    starts_events,
)
from shenhe.engines.server.transport import HttpReply
from shenhe.errors import EngineError, ItemError, item_wall, spelled
from shenhe.messages import Answer, Request, RequestFailed
from shenhe.secrecy import MIN_LENGTH_IN_ANSWERS

log = logging.getLogger("shenhe.server")
MAX_CONCURRENT = 64
"""Maximum of concurrent requests when no batch size is given."""
MAX_TRIES = 12
"""Failures that may pass after which a request is given up."""
GATEWAY_ERRORS = frozenset({502, 503, 504})
"""Statuses of a gateway whose server is gone."""
MAX_FAILURES_AT_FIRST, MAX_FAILURES = 16, 200
"""Failures in a row after which a server is given up: before its first answer, and later."""


class Client:
    """Sends requests to one server; lives in one event loop."""

    def __init__(self, spec: EngineSpec[ServerOptions]) -> None:
        """Set up without connecting.

        Raises: UsageError for an invalid address or key.
        """
        self.endpoint = Endpoint(spec)
        self._address = self.endpoint.address
        self.limit = AdaptiveLimit(spec.max_batch_size or MAX_CONCURRENT)
        self._breaker = CircuitBreaker(
            self._address, self.endpoint.problem, spec.engine.server_patience
        )
        self._photo_threads = ThreadPoolExecutor(os.cpu_count() or 1, "photos")
        self._answered, self._failures, self._bad_requests = False, 0, 0

    @property
    def _base_url(self) -> str:
        """The address as an option."""
        return spelled("base_url", self._address)

    async def close(self) -> None:
        """Close the connections."""
        self._photo_threads.shutdown(wait=False, cancel_futures=True)
        await self.endpoint.transport.close()

    async def answer(self, request: Request, codec: Codec) -> Answer | RequestFailed:
        """Send a request until it is answered or given up.

        Raises: EngineError when no request can be answered any more.
        """
        loop = asyncio.get_running_loop()
        try:
            encoded = await loop.run_in_executor(self._photo_threads, codec.encode, request)
            answer = await self._send_until_answered(encoded, codec)
        except ItemError as error:
            if isinstance(error, BadAnswerError):
                self._count_bad_request(error)
            return RequestFailed.of(request, error, self.endpoint.describe(error))
        self._answered, self._failures, self._bad_requests = True, 0, 0
        return answer

    async def answer_in_pieces(
        self, request: Request, codec: Codec, emit: Callable[[str], object]
    ) -> Answer | RequestFailed:
        """Request an answer as a stream, and pass its pieces to `emit`.

        What fails before its first piece is asked again as a whole, as `answer` does.
        Raises: EngineError.
        """
        loop, pieces = asyncio.get_running_loop(), 0

        def count(piece: str) -> None:
            nonlocal pieces
            pieces += bool(piece)
            emit(piece)

        try:
            encode = partial(codec.encode, request, stream=True)
            encoded = await loop.run_in_executor(self._photo_threads, encode)
            await self._breaker.wait()
            async with self.limit:
                body = await self.stream(encoded, count)
            return codec.decode(encoded, body)
        except (ItemError, EngineError) as error:
            if pieces:
                failure = ItemError("bad_answer", self.endpoint.describe(error))
                return RequestFailed.of(request, failure)
        return await self.answer(request, codec)

    async def stream(self, encoded: EncodedRequest, emit: Callable[[str], object]) -> Body:
        """Request one answer as a stream, pass each piece to `emit`, and return the completion.

        Raises: EngineError if the server is not there; ItemError for a bad answer.
        """
        seconds, transport = self.endpoint.seconds, self.endpoint.transport
        try:
            async with (
                asyncio.timeout(seconds) as limit,
                transport.open_response(COMPLETIONS, encoded.body) as response,
            ):
                limit.reschedule(None)  # an answer may take any time while it goes on
                chunks = transport.chunks(response, seconds)
                start = await transport.read_start(chunks)
                if not starts_events(start):
                    raw = start + b"".join([chunk async for chunk in chunks])
                    return self._read_unstreamed(HttpReply(response.status, response.headers, raw))
                completion, parser = StreamedCompletion(), EventParser()
                redactor = StreamRedactor(self.endpoint.secrets.at_least(MIN_LENGTH_IN_ANSWERS))
                for event in parser.feed(start):
                    emit(redactor.feed(completion.add(event)))
                async for chunk in chunks:
                    for event in parser.feed(chunk):
                        emit(redactor.feed(completion.add(event)))
                for event in parser.end():
                    emit(redactor.feed(completion.add(event)))
        except (TimeoutError, UnreachableError) as error:
            problem = self.endpoint.describe(error)
            if isinstance(error, TimeoutError):
                problem = f"no answer in {seconds:g} s"
            raise EngineError(f"{self._base_url}: {problem}") from error
        emit(redactor.end())
        return completion.body()

    async def _send_until_answered(self, encoded: EncodedRequest, codec: Codec) -> Answer:
        """Send a request again and again.

        Raises: ItemError when it is given up; EngineError.
        """
        tries = bad_answers = 0
        while True:
            await self._breaker.wait()
            try:
                async with self.limit:
                    answer = await self._send(encoded, codec)
            except RetryableError as error:
                if error.maybe_gone:
                    continue
                tries, problem, retry_after = tries + 1, str(error), error.retry_after
                self._count_failure(problem, error.max_failures)
                if tries == MAX_TRIES:
                    message = f"the server failed {MAX_TRIES} times, at last: {problem}"
                    raise ItemError("server_failed", message) from error
                pause = self.endpoint.backoff.pause(tries, retry_after)
            except BadAnswerError as error:
                bad_answers, problem = bad_answers + 1, self.endpoint.describe(error)
                if bad_answers >= error.tries:
                    raise
                pause = self.endpoint.backoff.short_pause(bad_answers)
            else:
                self.limit.grow()
                return answer
            log.info("%s: try %d: %s", encoded.request.key, tries + bad_answers, problem)
            await asyncio.sleep(pause)

    async def _send(self, encoded: EncodedRequest, codec: Codec) -> Answer:
        """Send a request once, and map everything that can come instead of an answer.

        Raises: BadAnswerError, RetryableError if a retry may help; ItemError if not.
        """
        seconds = self.endpoint.seconds
        try:
            async with asyncio.timeout(seconds):
                reply = await self.endpoint.transport.send(COMPLETIONS, encoded.body)
        except (UnreachableError, TimeoutError) as error:
            late = isinstance(error, TimeoutError)
            if late or getattr(error, "late", False):
                self.limit.shrink()
            problem = f"no answer in {seconds:g} s" if late else self.endpoint.describe(error)
            raise RetryableError(problem, maybe_gone=self._breaker.note_missed()) from error
        except BadAnswerError:
            self._breaker.note_reached()
            raise
        if not reply.ok:
            raise self._error_of_status(reply)
        self._breaker.note_reached()
        with item_wall("bad_answer", "the server's answer", BadAnswerError):
            return codec.decode(encoded, read_body(reply.body))

    def _error_of_status(self, reply: HttpReply) -> Exception:
        status, problem = reply.status, self.endpoint.describe_status(reply)
        gone = status in GATEWAY_ERRORS and self._breaker.note_missed()
        if status not in GATEWAY_ERRORS:
            self._breaker.note_reached()
        if status in DENIED:
            # The probes had access: a single denial may be a glitch.
            message = f"{problem}: {describe_denial(status)}"
            return RetryableError(message, max_failures=MAX_FAILURES_AT_FIRST)
        if not is_retryable(status):
            return ItemError("refused", problem)
        if status in OVERLOADED:
            self.limit.shrink()
        return RetryableError(problem, reply.headers.get("Retry-After"), maybe_gone=gone)

    def _read_unstreamed(self, reply: HttpReply) -> Body:
        """Read a response that came whole although a stream was requested.

        Raises: EngineError, ItemError.
        """
        if not reply.ok:
            problem = self.endpoint.describe_status(reply)
            if reply.status not in DENIED:
                raise ItemError("refused", problem)
            remedy = describe_denial(reply.status)
            raise EngineError(f"{self._base_url}: {problem}: {remedy}")
        return read_body(reply.body)

    def _count_failure(self, problem: str, max_failures: int | None) -> None:
        """Count failures in a row over all requests, and give up the server after too many.

        Raises: EngineError.
        """
        self._failures += 1
        limit = max_failures or (MAX_FAILURES if self._answered else MAX_FAILURES_AT_FIRST)
        if self._failures >= limit:
            raise EngineError(
                f"{self._base_url}: the server failed {self._failures} times in a row:"
                f" {problem}; see its own log, then run the same command again"
            )

    def _count_bad_request(self, error: BadAnswerError) -> None:
        """Count requests lost to bad answers, log the first, give up the server after too many.

        Raises: EngineError.
        """
        problem = self.endpoint.describe(error)
        if not self._bad_requests:
            log.warning("%s answers oddly: %s", self._address, problem)
        self._bad_requests += 1
        if self._bad_requests >= MAX_FAILURES:
            raise EngineError(
                f"{self._base_url}: {self._bad_requests} questions in a row got no answer"
                f" that can be used: {problem}"
            )
