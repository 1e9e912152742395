"""One conversation with a model: its history, and the photos that wait for the next question."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shenhe.config import Template
from shenhe.engines.base import Engine
from shenhe.errors import FormatError
from shenhe.formats.caption_recovery import Recovery, recover
from shenhe.locations import Location
from shenhe.messages import Answer, ImagePart, Message, Request
from shenhe.overlays import overlay_path, write_overlay
from shenhe.stages import caption

IMAGE_TAG = "<image>"


@dataclass(slots=True)
class Conversation:
    """What was said so far. An answer that was stopped or failed leaves no trace in it."""

    engine: Engine
    system: str = ""
    max_new_tokens: int = 2048
    history: list[Message] = field(default_factory=list)
    waiting: list[Location] = field(default_factory=list)
    """Photos attached for the next question."""
    last_answer: str | None = None
    last_photos: tuple[Location, ...] = ()
    """The photos of the last question that had any: what its answer's caption is about."""

    def ask(self, text: str) -> Generator[str, None, Answer]:
        """Ask, and yield the answer piece by piece; waiting photos go in, at <image> tags if any.

        Raises: PhotoError, EngineError; then the photos wait on.
        """
        question = Message("user", _parts(text, self.waiting))
        opening = (Message("system", (self.system,)),) if self.system else ()
        messages = (*opening, *self.history, question)
        asked = Request("chat", messages, self.max_new_tokens)
        answer = yield from self.engine.stream(asked)
        self.history += [question, Message("assistant", (answer.text,))]
        self._keep(answer, self.waiting)
        return answer

    def caption(self, template: Template) -> Generator[str, None, Answer]:
        """Ask for the dense caption of the waiting photos, or the last ones, as `shenhe caption`
        does: with its own prompt and no history.

        Raises: PhotoError, EngineError; FormatError if there are no photos.
        """
        photos = self.waiting or list(self.last_photos)
        if not photos:
            raise FormatError("no_photo", "no photo yet: /image PATH attaches one")
        asked = caption.request("chat", photos, template, self.max_new_tokens)
        answer = yield from self.engine.stream(asked)
        self._keep(answer, photos)
        return answer

    def clear(self) -> None:
        """Forget everything but the system prompt."""
        self.history, self.waiting = [], []
        self.last_answer, self.last_photos = None, ()

    def draw(self, folder: Path) -> tuple[Recovery, list[Path]]:
        """Draw the last answer, a caption, on the photos of its question.

        Raises: FormatError if it is no caption; PhotoError; RunError if it cannot be written.
        """
        if self.last_answer is None or not self.last_photos:
            raise FormatError("no_photo", "no answer about a photo yet")
        found = recover(self.last_answer, len(self.last_photos))
        paths = []
        for photo, objects in zip(self.last_photos, found.caption.photos, strict=True):
            path = overlay_path(folder, photo)
            write_overlay(photo, objects, path)
            paths.append(path)
        return found, paths

    def _keep(self, answer: Answer, photos: Sequence[Location]) -> None:
        self.last_answer = answer.text
        if photos:
            self.last_photos = tuple(photos)
        self.waiting = []


def _parts(text: str, photos: Sequence[Location]) -> tuple[str | ImagePart, ...]:
    """Put each photo where its tag stands; without tags, all of them before the text."""
    pieces = text.split(IMAGE_TAG)
    if len(pieces) == 1:
        return (*map(ImagePart, photos), text)
    parts: list[str | ImagePart] = []
    rest = list(photos)
    for index, piece in enumerate(pieces):
        if index and rest:
            parts.append(ImagePart(rest.pop(0)))
        if piece:
            parts.append(piece)
    return (*map(ImagePart, rest), *parts)
