"""One server, asked by the official client: what can be tried again is, what cannot is told."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
from httpx2 import Response
from openai import AsyncOpenAI
from pydantic_core import to_json

from shenhe.engines.base import EngineSpec
from shenhe.engines.server.dialect import Body
from shenhe.engines.server.pacing import Breaker, Pace
from shenhe.engines.server.wire import HalfAnswerError, Letter, Wire
from shenhe.errors import EngineError, PhotoError
from shenhe.records import Answer, Failed, Request

log = logging.getLogger("shenhe.server")
KEY_VARIABLES = ("SHENHE_API_KEY", "OPENAI_API_KEY")
TRIES = 12
"""A request is given up after so many failures that might have passed."""
PAUSE_SECONDS, LONGEST_PAUSE = 0.25, 30.0
"""Before the second try, twice as long before each further one, and never longer; each up to half
as long again or short, so that not all come back at once."""
AGAIN = frozenset({408, 409, 425, 429})
"""Statuses that pass, besides all from 500 on."""
TOO_MUCH = frozenset({429, 503, 529})
NOBODY_HOME = frozenset({502, 503, 504})
"""What a gateway says while the server behind it is gone."""
NEVER, IN_A_ROW = 16, 200
"""A server that failed so often before its first answer, or since its last one, is given up."""
NO_WAY_IN = frozenset({401, 403, 404})
"""No request can do better: a key, a right or a model that is not there."""
CONNECT_SECONDS = 10.0
REMEMBERED_IDS, COUNTS_ANEW = 4096, 5
"""So many answers of before in a row come from a server that was started anew, and counts anew."""


class _RefusedError(Exception):
    """A request that cannot succeed."""


class _AgainError(Exception):
    """What may pass: `told` is how long the server says to wait, `no_fault` that it is gone."""

    def __init__(self, why: str, told: float | None = None, *, no_fault: bool = False) -> None:
        super().__init__(why)
        self._told, self.no_fault = told, no_fault

    def pause(self, tries: int) -> float:
        """How long to wait after so many tries. Units: seconds."""
        if self._told is not None:
            return self._told * random.uniform(1, 1.5)  # noqa: S311
        usual = min(LONGEST_PAUSE, PAUSE_SECONDS * float(2 ** (tries - 1)))
        return usual * random.uniform(0.5, 1.5)  # noqa: S311


class Client:
    """Asks one server; lives in one event loop."""

    def __init__(self, spec: EngineSpec) -> None:
        """Connect to nothing yet."""
        self.address = str(spec.base_url)
        key = next((os.environ[name] for name in KEY_VARIABLES if os.environ.get(name)), "none")
        self._seconds = spec.request_timeout
        self._openai = AsyncOpenAI(
            base_url=self.address,
            api_key=key,
            max_retries=0,  # retries are ours: they know the pace and whether the server is there
            timeout=openai.Timeout(spec.request_timeout, connect=CONNECT_SECONDS),
            http_client=openai.DefaultAioHttpClient(),  # half the time a request
        )
        self.pace = Pace(spec.batch_size or MOST)
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._repeated = 0
        self._breaker = Breaker(self.address, self._problem, self._ids.clear, spec.server_patience)
        self._photos = ThreadPoolExecutor(os.cpu_count() or 1, "photos")
        self._model_said: str | None = None
        self._answered, self._failed = False, 0

    async def close(self) -> None:
        """Let go of the connections."""
        self._photos.shutdown(wait=False, cancel_futures=True)
        await self._openai.close()

    async def models(self) -> list[Body]:
        """List the models of the server.

        Raises: EngineError.
        """
        try:
            found = await self._openai.get("/models", cast_to=Response)
            return [dict(entry) for entry in found.json()["data"]]
        except (openai.OpenAIError, ValueError, KeyError, TypeError) as error:
            raise EngineError(
                f"--base-url {self.address}: no OpenAI-compatible server there:"
                f" {_reason(error)}; the address ends in /v1 as a rule"
            ) from error

    async def try_once(self, body: Body) -> Body | None:
        """Ask for a completion to see what the server takes; None where it refuses.

        Raises: EngineError.
        """
        try:
            return await self._post(to_json(body))
        except openai.APIStatusError as error:
            if error.status_code in NO_WAY_IN:
                raise self._no_way_in(error) from error
            return None
        except (openai.OpenAIError, HalfAnswerError) as error:
            raise EngineError(f"--base-url {self.address}: {_reason(error)}") from error

    async def answer(self, request: Request, wire: Wire) -> Answer | Failed:
        """Ask until there is an answer, or none is to be had.

        Raises: EngineError when no request can be answered any more.
        """
        loop = asyncio.get_running_loop()
        try:
            letter = await loop.run_in_executor(self._photos, wire.write, request)
        except PhotoError as error:
            return Failed(request.key, error.code, str(error), request.attempt)
        tries, why = 0, ""
        while tries < TRIES:
            await self._breaker.wait()
            try:
                async with self.pace:
                    answer = await self._ask(letter, wire)
            except _RefusedError as error:
                return Failed(request.key, "refused", str(error), request.attempt)
            except _AgainError as error:
                if error.no_fault:
                    continue
                tries, why = tries + 1, str(error)
                self._give_up_a_sick_server(why)
                log.info("%s: try %d: %s", request.key, tries, why)
                await asyncio.sleep(error.pause(tries))
            else:
                self.pace.widen()
                self._answered, self._failed = True, 0
                return answer
        message = f"the server failed {TRIES} times, at last: {why}"
        return Failed(request.key, "server_failed", message, request.attempt)

    def _give_up_a_sick_server(self, why: str) -> None:
        """Count failures in a row, of whatever requests: thousands that all fail help nobody.

        Raises: EngineError.
        """
        self._failed += 1
        if self._failed >= (IN_A_ROW if self._answered else NEVER):
            raise EngineError(
                f"--base-url {self.address}: the server failed {self._failed} times in a row:"
                f" {why}; see its own log, then run the same command again"
            )

    async def stream(self, letter: Letter, told: Callable[[str], object]) -> Body:
        """Ask for one answer piece by piece, each handed to `told`; give the whole completion.

        Raises: EngineError.
        """
        pieces: list[str] = []
        whole: Body = {"choices": [{"message": {}, "finish_reason": None}]}
        body = json.loads(letter.body) | {"stream": True}
        try:
            async with self._openai.chat.completions.with_streaming_response.create(
                **_named(body)
            ) as response:
                async for line in response.iter_lines():
                    if not line.startswith("data: {"):
                        continue
                    part = json.loads(line.removeprefix("data: "))
                    whole |= {name: part[name] for name in ("id", "usage") if part.get(name)}
                    for choice in part.get("choices", [])[:1]:
                        if piece := choice.get("delta", {}).get("content"):
                            pieces.append(piece)
                            told(piece)
                        if choice.get("finish_reason"):
                            whole["choices"][0]["finish_reason"] = choice["finish_reason"]
        except (openai.OpenAIError, ValueError) as error:
            raise EngineError(f"--base-url {self.address}: {_reason(error)}") from error
        whole["choices"][0]["message"]["content"] = "".join(pieces)
        return whole

    async def _ask(self, letter: Letter, wire: Wire) -> Answer:
        """Ask once; the table of what can come instead of an answer."""
        try:
            async with asyncio.timeout(self._seconds):
                body = await self._post(letter.body)
            answer = wire.read(letter, body)
            self._refuse_another_answer(body)
        except openai.APIStatusError as error:
            raise self._of_status(error) from error
        except (openai.APIConnectionError, TimeoutError) as error:
            if isinstance(error, openai.APITimeoutError | TimeoutError):
                self.pace.narrow()
            raise _AgainError(_reason(error), no_fault=self._breaker.missed()) from error
        except HalfAnswerError as error:
            self._breaker.reached()
            raise _AgainError(str(error)) from error
        self._breaker.reached()
        return answer

    def _of_status(self, error: openai.APIStatusError) -> Exception:
        status = error.status_code
        why = f"status {status}: {_reason(error)}"
        gone = status in NOBODY_HOME and self._breaker.missed()
        if status not in NOBODY_HOME:
            self._breaker.reached()
        if status in NO_WAY_IN:
            return self._no_way_in(error)
        if status not in AGAIN and status < 500:
            return _RefusedError(why)
        if status in TOO_MUCH:
            self.pace.narrow()
        return _AgainError(why, _told_to_wait(error), no_fault=gone)

    async def _post(self, body: bytes) -> Body:
        found = await self._openai.post("/chat/completions", cast_to=Response, content=body)
        try:
            read = json.loads(found.content)
        except ValueError as error:
            raise HalfAnswerError(f"no JSON: {error}") from error
        if not isinstance(read, dict) or not read.get("choices"):
            raise HalfAnswerError(f"no completion: {found.text[:100]!r}")
        return read

    def _refuse_another_answer(self, body: Body) -> None:
        """Refuse what was meant for somebody else: another model's answer, or one of before."""
        said, name = str(body.get("id", "")), str(body.get("model", ""))
        if self._model_said is None:
            self._model_said = name
        if name != self._model_said:
            raise HalfAnswerError(f"an answer of {name!r}, where {self._model_said!r} was asked")
        if said and said in self._ids:
            self._repeated += 1
            if self._repeated < COUNTS_ANEW:
                raise HalfAnswerError(f"the answer {said} once more")
            self._ids.clear()
        self._repeated = 0
        self._ids[said] = None
        if len(self._ids) > REMEMBERED_IDS:
            self._ids.popitem(last=False)

    async def _problem(self) -> str:
        """Say what is wrong with the server, or nothing."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._openai.get("/models", cast_to=Response)
        except openai.APIStatusError as error:
            return f"status {error.status_code}" if error.status_code >= 500 else ""
        except (openai.OpenAIError, TimeoutError) as error:
            return _reason(error)
        return ""

    def _no_way_in(self, error: openai.APIStatusError) -> EngineError:
        keys = " or ".join(KEY_VARIABLES)
        what = {404: "no such model or address", 401: f"set the key in {keys}"}
        remedy = what.get(error.status_code, f"the key in {keys} has no right to it")
        return EngineError(
            f"--base-url {self.address}: status {error.status_code}: {_reason(error)}: {remedy}"
        )


MOST = 64
"""Requests under way at most, where --batch-size says nothing."""
_NAMED = frozenset({"model", "messages", "max_tokens", "temperature", "top_p", "seed", "stream"})
_NAMED |= {"logprobs", "top_logprobs", "response_format"}


def _named(body: Body) -> dict[str, Any]:
    """Split what the client knows by name from what only some servers know."""
    named = {name: value for name, value in body.items() if name in _NAMED}
    return named | {"extra_body": {k: v for k, v in body.items() if k not in _NAMED}}


def _reason(error: Exception) -> str:
    """Say in one line what went wrong, down to what the system said."""
    if isinstance(error, openai.APIStatusError):
        body = error.body
        if isinstance(body, dict):
            inner = body.get("error", body)
            body = inner.get("message", inner) if isinstance(inner, dict) else inner
        return " ".join(str(body or error.message).split())[:300]
    cause = error.__cause__ or error
    said = str(cause) or type(cause).__name__
    return " ".join(said.split())[:300]


def _told_to_wait(error: openai.APIStatusError) -> float | None:
    """Read Retry-After. Units: seconds."""
    try:
        return max(0.0, float(error.response.headers.get("retry-after", "")))
    except ValueError:
        return None
