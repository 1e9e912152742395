"""From requests to what a model is given: photos opened, prompts tokenised, patches laid out."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from jinja2 import TemplateError

from shenhe import photos
from shenhe.engines.local.patches import Patches
from shenhe.errors import EngineError, ItemError, item_wall
from shenhe.messages import ImagePart, Message, PhotoSize, Request, RequestFailed
from shenhe.photos import LoadedPhoto, PixelBudget


@dataclass(frozen=True, slots=True)
class Opened:
    """A request as the model is given it.

    Shapes: token_ids (tokens,), positions (3, tokens) for time, rows and columns, patches (patches,
    channels, size, size) in bytes, grids (photos, 3); the last two are None without photos.
    `beyond` is added to the place of what is written to get its position. `digest` tells equal
    questions.
    """

    request: Request
    token_ids: torch.Tensor
    positions: torch.Tensor
    beyond: int
    patches: torch.Tensor | None
    grids: torch.Tensor | None
    sizes: tuple[PhotoSize, ...]
    digest: bytes

    def failed(self, error: ItemError) -> RequestFailed:
        """Say that the request gets no answer, and why."""
        return RequestFailed(self.request.key, error.code, str(error), self.request.attempt)


class Opener:
    """Opens requests with a checkpoint's own chat template, tokenizer and image processor."""

    def __init__(self, processor: Any, base: Any, budget: PixelBudget) -> None:
        self._tokenizer, self._base, self._budget = processor.tokenizer, base, budget
        self.patches = Patches(processor.image_processor)
        self._place = self._tokenizer.convert_ids_to_tokens(base.config.image_token_id)

    def ahead(
        self, requests: Iterator[Request], count: int
    ) -> Generator[Opened | RequestFailed, None, None]:
        """Yield requests in their order, the next so many being opened meanwhile.

        Raises: EngineError for a chat template that cannot be used.
        """
        waiting: deque[Future[Opened | RequestFailed]] = deque()
        with ThreadPoolExecutor(2, "photos") as pool:
            try:
                while True:
                    for request in islice(requests, max(0, count - len(waiting))):
                        waiting.append(pool.submit(self._open_or_fail, request))
                    if not waiting:
                        return
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def open(self, request: Request) -> Opened:
        """Open one request.

        Raises: PhotoError.
        """
        loaded = load_photos(request, self._budget)
        text = prompt_text(request, self._tokenizer)
        cut = [self.patches.cut(photo.image) for photo in loaded]
        grids = torch.tensor([grid for _, grid in cut]) if cut else None
        text = self._with_places(text, [rows * columns for _, (_, rows, columns) in cut])
        ids = self._tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
        kinds = (ids == self._base.config.image_token_id).int()
        positions, beyond = self._base.model.get_rope_index(ids, kinds, image_grid_thw=grids)
        return Opened(
            request,
            ids[0],
            positions[:, 0],
            int(beyond),
            torch.cat([patches for patches, _ in cut]) if cut else None,
            grids,
            tuple(photo.sizes for photo in loaded),
            _digest(text, loaded),
        )

    def _with_places(self, text: str, patches: list[int]) -> str:
        """Keep as many places for each photo as the model makes tokens of it.

        Raises: ValueError where a prompt has other places than photos.
        """
        parts = text.split(self._place)
        if len(parts) != len(patches) + 1:
            raise ValueError(f"{len(patches)} photos, and {len(parts) - 1} places for them")
        merged = self.patches.merge**2
        places = [self._place * (count // merged) for count in patches]
        return parts[0] + "".join(
            place + part for place, part in zip(places, parts[1:], strict=True)
        )

    def _open_or_fail(self, request: Request) -> Opened | RequestFailed:
        try:
            with item_wall("library_error", "the question"):
                return self.open(request)
        except ItemError as error:
            return RequestFailed(request.key, error.code, str(error), request.attempt)


def load_photos(request: Request, budget: PixelBudget) -> list[LoadedPhoto]:
    """Load the photos of a request, in their order.

    Raises: PhotoError.
    """
    return [
        photos.load(part.path, budget)
        for message in request.messages
        for part in message.parts
        if isinstance(part, ImagePart)
    ]


def prompt_text(request: Request, tokenizer: Any) -> str:
    """Write a request by a checkpoint's own chat template.

    Raises: EngineError where the template is at fault: it is the same for every request.
    """
    try:
        text: str = tokenizer.apply_chat_template(
            [as_template_message(message) for message in request.messages],
            tokenize=False,
            add_generation_prompt=True,
        )
    except TemplateError as error:
        raise EngineError(f"the checkpoint's chat template cannot be used: {error}") from error
    return text


def as_template_message(message: Message) -> dict[str, Any]:
    """Give a message in the form that chat templates take."""
    parts = [
        {"type": "image"} if isinstance(part, ImagePart) else {"type": "text", "text": part}
        for part in message.parts
    ]
    return {"role": message.role, "content": parts}


def _digest(text: str, loaded: list[LoadedPhoto]) -> bytes:
    found = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16)
    for photo in loaded:
        found.update(repr(photo.sizes).encode())
        found.update(photo.image.tobytes())
    return found.digest()
