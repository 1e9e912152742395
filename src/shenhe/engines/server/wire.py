"""From a request to what goes over the wire, and from what comes back to an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic_core import to_json

from shenhe import photos
from shenhe.engines.base import EngineSpec
from shenhe.engines.sampling import seed_of
from shenhe.engines.server.completions import Body, read_completion
from shenhe.engines.server.dialect import EXTRAS, Dialect, data_url
from shenhe.errors import ItemError, item_wall
from shenhe.formats.closing import close_truncated
from shenhe.messages import Answer, ImagePart, Message, PhotoSize, Request
from shenhe.photos import LoadedPhoto, PixelBudget
from shenhe.secrecy import MIN_LENGTH_IN_ANSWERS, Secrets

ENDS = ("<|im_end|>", "<|endoftext|>")
"""What servers leave at the end of an answer when they are told to keep special tokens."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A request ready to be sent, and the sizes of its photos."""

    request: Request
    body: bytes
    sizes: tuple[PhotoSize, ...]
    constrained: bool


class Wire:
    """Writes requests to one model of one server, and reads what it answers."""

    def __init__(
        self,
        spec: EngineSpec,
        model: str,
        dialect: Dialect,
        budget: PixelBudget,
        secrets: Secrets,
    ) -> None:
        """Leave `secrets` out of answers: servers have been seen to repeat what they are sent."""
        self._spec, self._model, self._dialect, self._budget = spec, model, dialect, budget
        self._secrets = secrets.at_least(MIN_LENGTH_IN_ANSWERS)

    def write(self, request: Request, *, stream: bool = False) -> Letter:
        """Open the photos of a request and lay it out.

        Raises: PhotoError; ItemError for a text that cannot be sent.
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
        if stream:
            body["stream"] = True
        held = self._dialect.of_grammar(request.grammar)
        with item_wall("not_sent", "the question", ItemError):
            return Letter(request, to_json(body | held), tuple(sizes), bool(held))

    def read(self, letter: Letter, body: Body) -> Answer:
        """Read a completion.

        Raises: BadAnswerError for what is no whole answer.
        """
        found, request = read_completion(body), letter.request
        text = self._secrets.hide(found.text)
        for end in ENDS:
            text = text.removesuffix(end)
        if found.finish == "length" and letter.constrained and request.grammar:
            text = close_truncated(text, request.grammar)
        return Answer(
            key=request.key,
            text=text,
            finish_reason=found.finish,
            prompt_tokens=found.prompt_tokens,
            new_tokens=found.new_tokens,
            sizes=letter.sizes,
            choice_logprobs=_choices(request.choices, found.likeliest),
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
        if self._spec.local_media and isinstance(part.path, Path) and loaded.as_stored:
            return part.path.absolute().as_uri()
        return data_url(loaded.image, self._dialect.packing)


def _choices(choices: Sequence[str], likeliest: Sequence[tuple[bytes, float]]) -> dict[str, float]:
    """Give the log-probability of each choice as the opening.

    Of several tokens that open a choice the longest counts. A choice that is not among the
    likeliest tokens is at most as likely as the last of them, and is taken to be just that.
    """
    found: dict[str, tuple[int, float]] = {}
    for opening, logprob in likeliest:
        fitting = [choice for choice in choices if choice.encode().startswith(opening)]
        if len(fitting) == 1 and len(opening) > found.get(fitting[0], (0, 0.0))[0]:
            found[fitting[0]] = (len(opening), logprob)
    if not found:
        return {}
    least = min(logprob for _, logprob in likeliest)
    return {choice: found.get(choice, (0, least))[1] for choice in choices}
