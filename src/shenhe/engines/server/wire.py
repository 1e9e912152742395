"""From a request to what goes over the wire, and from what comes back to an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import to_json

from shenhe import photos
from shenhe.engines.base import EngineSpec
from shenhe.engines.sampling import seed_of
from shenhe.engines.server.dialect import EXTRAS, Body, Dialect, data_url, first_logprobs
from shenhe.formats.closing import close
from shenhe.photos import LoadedPhoto, PixelBudget
from shenhe.records import Answer, ImagePart, Message, PhotoSize, Request

ENDS = ("<|im_end|>", "<|endoftext|>")
"""What servers leave at the end of an answer when they are told to keep special tokens."""


class HalfAnswerError(Exception):
    """A body that is no whole answer: the server is asked again."""


class _Said(BaseModel):
    model_config = ConfigDict(extra="ignore")
    content: str


class _Choice(BaseModel):
    model_config = ConfigDict(extra="ignore")
    message: _Said
    finish_reason: str


class _Usage(BaseModel):
    model_config = ConfigDict(extra="ignore")
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Completion(BaseModel):
    model_config = ConfigDict(extra="ignore")
    id: str = ""
    model: str = ""
    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage = _Usage()


@dataclass(frozen=True, slots=True)
class Letter:
    """A request ready to be sent, and the sizes of its photos."""

    request: Request
    body: bytes
    sizes: tuple[PhotoSize, ...]
    constrained: bool


class Wire:
    """Writes requests to one model of one server, and reads what it answers."""

    def __init__(self, spec: EngineSpec, model: str, dialect: Dialect, budget: PixelBudget) -> None:
        self._spec, self._model, self._dialect, self._budget = spec, model, dialect, budget

    def write(self, request: Request) -> Letter:
        """Open the photos of a request and lay it out.

        Raises: PhotoError.
        """
        sizes: list[PhotoSize] = []
        messages = [self._message(message, sizes) for message in request.messages]
        temperature = self._spec.temperature_of(request)
        body: Body = {
            "model": self._model,
            "messages": messages,
            "max_tokens": request.max_new_tokens,
            "temperature": temperature,
        }
        if temperature:
            # Servers take 63 bits, some of them 32.
            body |= {"top_p": self._spec.top_p, "seed": seed_of(self._spec.seed, request) % 2**31}
        if self._dialect.extras:
            body |= EXTRAS
        if request.choices and self._dialect.top_logprobs:
            body |= {"logprobs": True, "top_logprobs": self._dialect.top_logprobs}
        held = self._dialect.of_grammar(request.grammar)
        return Letter(request, to_json(body | held), tuple(sizes), bool(held))

    def read(self, letter: Letter, body: Body) -> Answer:
        """Read a completion.

        Raises: HalfAnswerError for what is no whole answer.
        """
        try:
            found = _Completion.model_validate(body)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(step) for step in first["loc"])
            raise HalfAnswerError(f"no completion: {where}: {first['msg']}") from error
        choice, request = found.choices[0], letter.request
        if choice.finish_reason not in ("stop", "length"):
            raise HalfAnswerError(f"finish_reason {choice.finish_reason}")
        text = choice.message.content
        for end in ENDS:
            text = text.removesuffix(end)
        if choice.finish_reason == "length" and letter.constrained and request.grammar:
            text = close(text, request.grammar)
        return Answer(
            key=request.key,
            text=text,
            finish_reason="stop" if choice.finish_reason == "stop" else "length",
            prompt_tokens=found.usage.prompt_tokens,
            new_tokens=found.usage.completion_tokens,
            sizes=letter.sizes,
            choice_logprobs=_choices(request.choices, first_logprobs(body)),
            attempt=request.attempt,
        )

    def _message(self, message: Message, sizes: list[PhotoSize]) -> Body:
        if all(isinstance(part, str) for part in message.parts):
            text = "".join(part for part in message.parts if isinstance(part, str))
            return {"role": message.role, "content": text}
        content: list[Body] = []
        for part in message.parts:
            if isinstance(part, ImagePart):
                loaded = photos.load(part.path, self._budget)
                sizes.append(loaded.sizes)
                content.append({"type": "image_url", "image_url": {"url": self._url(part, loaded)}})
            else:
                content.append({"type": "text", "text": part})
        return {"role": message.role, "content": content}

    def _url(self, part: ImagePart, loaded: LoadedPhoto) -> str:
        """Name a photo that the server may open as it is; send any other."""
        if self._spec.local_media and isinstance(part.path, Path) and _as_it_is(part.path, loaded):
            return part.path.absolute().as_uri()
        return data_url(loaded.image, self._dialect.packing)


def _as_it_is(path: Path, loaded: LoadedPhoto) -> bool:
    """Whether any reader sees the pixels that the model is to see: upright, of the right size."""
    sizes = loaded.sizes
    return sizes.original_wh == sizes.resized_wh and not photos.describe(path).turned


def _choices(choices: Sequence[str], likeliest: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Give the log-probability of each choice as the opening.

    Of several tokens that open a choice the longest counts. A choice that is not among the
    likeliest tokens is at most as likely as the last of them, and is taken to be just that.
    """
    if not choices or not likeliest:
        return {}
    found: dict[str, tuple[int, float]] = {}
    for token in likeliest:
        opening = bytes(token.get("bytes") or str(token["token"]).encode())
        fitting = [choice for choice in choices if opening and choice.encode().startswith(opening)]
        if len(fitting) == 1 and len(opening) > found.get(fitting[0], (0, 0.0))[0]:
            found[fitting[0]] = (len(opening), float(token["logprob"]))
    if not found:
        return {}
    least = min(float(token["logprob"]) for token in likeliest)
    return {choice: found.get(choice, (0, least))[1] for choice in choices}
