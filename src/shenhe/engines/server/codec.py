"""Requests encoded as JSON bodies for one server, and completions decoded to answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from pydantic_core import to_json

from shenhe import photos
from shenhe.engines.base import EngineSpec
from shenhe.engines.options import ServerOptions
from shenhe.engines.sampling import sampling_of, seed_of
from shenhe.engines.server.completions import Body, read_completion, token_logprobs
from shenhe.engines.server.dialect import OF_SHENHE, Dialect, data_url
from shenhe.engines.server.faults import UselessAnswerError
from shenhe.engines.server.penalty import NO_PENALTY, Penalty
from shenhe.errors import ItemError, item_wall
from shenhe.formats.closing import close_truncated
from shenhe.messages import Answer, Grammar, ImagePart, Message, PhotoSize, Request
from shenhe.photos import LoadedPhoto, PixelBudget
from shenhe.secrecy import MIN_LENGTH_IN_ANSWERS, Secrets

END_TOKENS = ("<|im_end|>", "<|endoftext|>")
"""Tokens that servers leave at the end of an answer when told to keep special tokens."""
USUAL: Body = {"top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}
"""Values that leave sampling as it is, and that some servers do not take."""


@dataclass(frozen=True, slots=True)
class EncodedRequest:
    """A request ready to be sent, and the sizes of its photos."""

    request: Request
    body: bytes
    sizes: tuple[PhotoSize, ...]
    constrained: bool


class Codec:
    """Encodes requests to one model of one server, and decodes its completions."""

    def __init__(
        self,
        spec: EngineSpec[ServerOptions],
        model: str,
        dialect: Dialect,
        budget: PixelBudget,
        secrets: Secrets,
        penalty: Penalty = NO_PENALTY,
        others: frozenset[str] = frozenset(),
    ) -> None:
        """Hide `secrets` in answers: some servers repeat the headers that they receive.

        `others` are models of the server that may not answer in the place of this one.
        """
        self._others = others
        self._penalty = penalty
        self._spec, self._model, self._dialect, self._budget = spec, model, dialect, budget
        self._secrets = secrets.at_least(MIN_LENGTH_IN_ANSWERS)

    def encode(self, request: Request, *, stream: bool = False) -> EncodedRequest:
        """Open the photos of a request and write its body.

        Raises: PhotoError; ItemError for a text that cannot be sent.
        """
        sizes: list[PhotoSize] = []
        messages = [self._encode_message(message, sizes) for message in request.messages]
        body: Body = {
            "model": self._model,
            "messages": messages,
            "max_tokens": request.max_new_tokens,
        }
        body |= self._sampling(request) | self._logprobs(request)
        if request.stop:
            body["stop"] = list(request.stop)
        if stream:
            body["stream"] = True
        constraint = self._dialect.constrain(request.grammar)
        with item_wall("not_sent", "the question", ItemError):
            encoded = to_json(body | constraint)
        return EncodedRequest(request, encoded, tuple(sizes), bool(constraint))

    def _sampling(self, request: Request) -> Body:
        sampling = sampling_of(request, self._spec)
        body: Body = {"temperature": sampling.temperature}
        if sampling.temperature:
            seed = seed_of(self._spec.seed, request) if sampling.seed is None else sampling.seed
            # Seeds have 63 bits; some servers take 31.
            seed = seed if self._dialect.owner == OF_SHENHE else seed % 2**31
            body |= {"top_p": sampling.top_p, "seed": seed}
        body |= self._dialect.sampling | self._penalty.fields
        if request.sampling is not None:
            asked: Body = {
                "top_k": sampling.top_k,
                "min_p": sampling.min_p,
                "repetition_penalty": sampling.repetition_penalty,
            }
            body |= {name: value for name, value in asked.items() if value != USUAL[name]}
        return body

    def _logprobs(self, request: Request) -> Body:
        highest = self._dialect.top_logprobs
        if request.top_logprobs is not None:
            count = max(request.top_logprobs, highest if request.choices else 0)
            return {"logprobs": True, "top_logprobs": min(count, highest)}
        if request.choices and highest and not self._penalty.changes_logprobs:
            return {"logprobs": True, "top_logprobs": highest}
        return {}

    def decode(self, encoded: EncodedRequest, body: Body) -> Answer:
        """Decode a completion.

        Raises: BadAnswerError if it is no complete answer.
        """
        request = encoded.request
        if isinstance(name := body.get("model"), str) and name in self._others:
            raise UselessAnswerError(f"answered by another model, {name}; {self._model} was asked")
        completion = read_completion(body, shared_opening(request.choices))
        text = self._secrets.hide(completion.text)
        for token in END_TOKENS:
            text = text.removesuffix(token)
        grammar = request.grammar if encoded.constrained else None
        if completion.finish == "length" and isinstance(grammar, Grammar):
            text = close_truncated(text, grammar)
        return Answer(
            key=request.key,
            text=text,
            finish_reason=completion.finish,
            prompt_tokens=completion.prompt_tokens,
            new_tokens=completion.new_tokens,
            sizes=encoded.sizes,
            choice_logprobs=choice_logprobs(
                request.choices, completion.top_tokens, completion.top_tokens_start
            ),
            attempt=request.attempt,
            token_logprobs=tuple(token_logprobs(body, request.top_logprobs)),
        )

    def _encode_message(self, message: Message, sizes: list[PhotoSize]) -> Body:
        if all(isinstance(part, str) for part in message.parts):
            text = "".join(part for part in message.parts if isinstance(part, str))
            return {"role": message.role, "content": text}
        content: list[Body] = []
        for part in message.parts:
            if isinstance(part, ImagePart):
                loaded = photos.load(part.path, self._budget)
                sizes.append(loaded.sizes)
                url = self._photo_url(part, loaded)
                content.append({"type": "image_url", "image_url": {"url": url}})
            else:
                content.append({"type": "text", "text": part})
        return {"role": message.role, "content": content}

    def _photo_url(self, part: ImagePart, loaded: LoadedPhoto) -> str:
        """Name a photo that the server can open unchanged by its path; encode any other."""
        if self._spec.engine.local_media and isinstance(part.path, Path) and loaded.as_stored:
            return part.path.absolute().as_uri()
        return data_url(loaded.image, self._dialect.packing)


def shared_opening(choices: Sequence[str]) -> bytes:
    """Give the bytes that all choices begin with; a mark before the word that tells them apart.

    >>> shared_opening(["Verdict: 通过", "Verdict: 不通过"])
    b'Verdict: '
    """
    columns = takewhile(
        lambda column: len(set(column)) == 1, zip(*map(str.encode, choices), strict=False)
    )
    return bytes(column[0] for column in columns)


def choice_logprobs(
    choices: Sequence[str], top_tokens: Sequence[tuple[bytes, float]], start: int = 0
) -> dict[str, float]:
    """Compute the log-probability of each choice as the opening of an answer.

    The top tokens are those behind `start` bytes that all choices share. The longest of the tokens
    that go on as a choice does counts. A choice without a top token is at most as likely as the
    last of them, and gets its value.
    """
    best: dict[str, tuple[int, float]] = {}
    for token, logprob in top_tokens:
        matches = [choice for choice in choices if choice.encode()[start:].startswith(token)]
        if len(matches) == 1 and len(token) > best.get(matches[0], (0, 0.0))[0]:
            best[matches[0]] = (len(token), logprob)
    if not best:
        return {}
    lowest = min(logprob for _, logprob in top_tokens)
    return {choice: best.get(choice, (0, lowest))[1] for choice in choices}
