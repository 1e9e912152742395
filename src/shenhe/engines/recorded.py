"""Answers of a batch service: requests are told by an id, and answered from files.

The rows are those of OpenAI's batch API, which vLLM's run-batch and other services take too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from shenhe.engines.server.codec import Codec, EncodedRequest
from shenhe.engines.server.completions import Body, read_json
from shenhe.engines.server.dialect import Dialect
from shenhe.engines.server.faults import BadAnswerError, error_message, to_one_line
from shenhe.errors import EngineError, ItemError, RunError, item_wall
from shenhe.messages import Answer, PhotoSize, Request, RequestFailed
from shenhe.secrecy import Secrets

ServiceName = Literal["openai", "vllm", "vllm-guided", "sglang", "lmdeploy"]
DIALECTS: Final[dict[str, Dialect]] = {
    "openai": Dialect(extras=False, form=None, top_logprobs=20, packing="PNG"),
    "vllm": Dialect(extras=True, form="structured_outputs", top_logprobs=20, packing="PNG"),
    "vllm-guided": Dialect(extras=True, form="guided_regex", top_logprobs=20, packing="PNG"),
    "sglang": Dialect(extras=True, form="regex", top_logprobs=20, packing="PNG"),
    "lmdeploy": Dialect(extras=True, form="regex_schema", top_logprobs=20, packing="PNG"),
}
"""How each service takes a request; vllm-guided is vLLM before 0.11."""
URL: Final = "/v1/chat/completions"
LINE_BREAKS: Final = "\x85\u2028\u2029"
"""Characters that stand in JSON as they are, and at which some readers of lines end a line."""
MAX_READABLE: Final = 120
SUCCESS: Final = range(200, 300)


class Asked(BaseModel):
    """What was noted of a request when it was written: its photos' sizes and facts, and stamps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    custom_id: str
    sizes: tuple[PhotoSize, ...]
    stamps: list[str]
    constrained: bool


class _Found(NamedTuple):
    """Where an answer stands, what it says in short, and whether it is an error."""

    file: Path
    offset: int
    digest: str
    is_error: bool


def custom_id(request: Request, model: str) -> str:
    r"""Name a request: by all that its answer depends on, then by its key.

    >>> custom_id(Request("a\x1fb", (), 9), "m").split("|")[1]
    'a b'
    """
    parts = [[message.role, *map(str, message.parts)] for message in request.messages]
    content = [request.key, model, request.max_new_tokens, request.temperature, parts]
    digest = hashlib.sha256(json.dumps(content, ensure_ascii=True).encode()).hexdigest()[:20]
    readable = "".join(char if char.isprintable() else " " for char in request.key)
    return f"{digest}|{readable[-MAX_READABLE:]}"


def stamps_of(request: Request) -> list[str]:
    """Give what changes with each photo of a request: its size and time; empty for a URL."""
    stamps = []
    for path in request.photos:
        stamp = ""
        with suppress(OSError):
            if isinstance(path, Path):
                facts = path.stat()
                stamp = f"{facts.st_size}:{facts.st_mtime_ns}"
        stamps.append(stamp)
    return stamps


def request_row(encoded: EncodedRequest, model: str) -> bytes:
    """Write a request as a row, without its newline."""
    head = {"custom_id": custom_id(encoded.request, model), "method": "POST", "url": URL}
    start = json.dumps(head, ensure_ascii=False).encode("utf-8", "surrogateescape")
    body = encoded.body
    for character in LINE_BREAKS:
        body = body.replace(character.encode(), f"\\u{ord(character):04x}".encode())
    return start[:-1] + b', "body": ' + body + b"}"


def asked_of(encoded: EncodedRequest, model: str) -> Asked:
    """Note what is known of a request when it is written."""
    request = encoded.request
    return Asked(
        custom_id=custom_id(request, model),
        sizes=encoded.sizes,
        stamps=stamps_of(request),
        constrained=encoded.constrained,
    )


@dataclass(slots=True)
class RecordedAnswers:
    """The answers in files, by the ids of their requests.

    `unknown` are ids that were not asked, `unlike` those that were answered in several ways, and
    `faults` describes lines that could not be read.
    """

    asked: dict[str, Asked]
    found: dict[str, _Found]
    unknown: list[str]
    unlike: set[str]
    faults: list[str]


def read_answers(index: Path, files: Sequence[Path]) -> RecordedAnswers:
    """Find the answers in files of a batch service, in any order, some of them or all.

    Raises: RunError for a file that cannot be read.
    """
    answers = RecordedAnswers(_read_index(index), {}, [], set(), [])
    for file in files:
        try:
            with file.open("rb") as stream:
                offset = 0
                for number, line in enumerate(stream, 1):
                    if line.strip():
                        _note(answers, file, f"{file}: line {number}", offset, line)
                    offset += len(line)
        except OSError as error:
            raise RunError(f"{file}: cannot be read: {error.strerror}") from error
    return answers


def _read_index(index: Path) -> dict[str, Asked]:
    try:
        with index.open(encoding="utf-8") as lines:
            entries = [Asked.model_validate_json(line) for line in lines]
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise RunError(f"{index}: cannot be read: write the requests anew") from error
    return {entry.custom_id: entry for entry in entries}


def _note(answers: RecordedAnswers, file: Path, where: str, offset: int, line: bytes) -> None:
    try:
        row = read_json(line)
    except ItemError as error:
        answers.faults.append(f"{where}: {to_one_line(error, Secrets())}")
        return
    name = row.get("custom_id") if isinstance(row, dict) else None
    if not isinstance(row, dict) or not isinstance(name, str):
        answers.faults.append(f"{where}: no custom_id")
        return
    if name not in answers.asked:
        answers.unknown.append(name)
        return
    body = _body(row)
    is_error = body is None
    content = json.dumps((body or row).get("choices"), sort_keys=True)
    found = _Found(file, offset, hashlib.sha256(content.encode()).hexdigest(), is_error)
    earlier = answers.found.get(name)
    if earlier is not None and not earlier.is_error and not is_error:
        if earlier.digest != found.digest:
            answers.unlike.add(name)
    elif earlier is None or earlier.is_error:
        answers.found[name] = found


def _body(row: Body) -> Body | None:
    """Return the completion in a row of answers; None if it is an error."""
    response = row.get("response")
    source = response if isinstance(response, dict) else row
    status = source.get("status_code", SUCCESS.start)
    body = source.get("body", source)
    if row.get("error") or status not in SUCCESS or not isinstance(body, dict):
        return None
    return body if "choices" in body and not body.get("error") else None


class RecordedEngine:
    """An engine that answers from files; what is not in them fails, and may be there next time.

    Example:
        engine = RecordedEngine(read_answers(index, files), codec, "qwen3-vl", fingerprint)

    """

    def __init__(
        self, answers: RecordedAnswers, codec: Codec, model: str, fingerprint: str
    ) -> None:
        self._answers, self._codec, self._model = answers, codec, model
        self.fingerprint = fingerprint

    def answer(self, requests: Iterable[Request]) -> Iterator[Answer | RequestFailed]:
        """Answer requests in their order; see Engine."""
        for request in requests:
            try:
                yield self._answer(request)
            except ItemError as error:
                problem = to_one_line(error, Secrets())
                yield RequestFailed.of(request, error, problem)

    def stream(self, request: Request) -> Generator[str, None, Answer]:
        """Refuse: answers in files are whole; see Engine.

        Raises: EngineError.
        """
        raise EngineError("answers in files cannot be streamed")

    def _answer(self, request: Request) -> Answer:
        name = custom_id(request, self._model)
        asked = self._answers.asked.get(name)
        if asked is None:
            problem = "not among the requests: it, its prompt or its photos have changed since"
            raise ItemError("not_requested", problem)
        if asked.stamps != stamps_of(request):
            raise ItemError("photo_changed", "a photo has changed since it was asked about")
        if name in self._answers.unlike:
            raise ItemError("answers_differ", f"answered several times, and not alike: {name}")
        found = self._answers.found.get(name)
        if found is None:
            raise ItemError("not_answered", "no answer in these files")
        with item_wall("bad_answer", "the service's answer", BadAnswerError):
            row = _read_row(found)
            body = _body(row)
            if body is None:
                raise ItemError("refused", _describe_error(row))
            encoded = EncodedRequest(request, b"", asked.sizes, asked.constrained)
            return self._codec.decode(encoded, body)


def _read_row(found: _Found) -> Body:
    with found.file.open("rb") as file:
        file.seek(found.offset)
        row = read_json(file.readline())
    if not isinstance(row, dict):
        raise BadAnswerError("bad_answer", "the file has changed while it was read")
    return row


def _describe_error(row: Body) -> str:
    response = row.get("response")
    inner = response.get("body") if isinstance(response, dict) else None
    message = error_message(row) or error_message(inner)
    return f"the service says: {message}" if message else "neither an answer nor an error"
