"""A conversation with a model: its history, and the photos attached to the next question."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shenhe.config import Template
from shenhe.engines.base import Engine
from shenhe.errors import FormatError
from shenhe.formats.caption_recovery import Recovery, recover
from shenhe.formats.text_formats import PLAIN, CaptionFormat
from shenhe.locations import Location
from shenhe.messages import IMAGE_TAG, Answer, ImagePart, Message, Request
from shenhe.overlays import overlay_path, write_overlay
from shenhe.stages import caption


@dataclass(slots=True)
class Conversation:
    """The messages so far. An answer that was stopped or failed is not part of the history.

    Example:
        talk = Conversation(engine, system="你是一位质检员。", waiting=[Path("1.jpg")])
        answer = "".join(talk.ask("这张照片里有什么？"))

    """

    engine: Engine
    system: str = ""
    max_new_tokens: int = 2048
    form: CaptionFormat = PLAIN.caption
    history: list[Message] = field(default_factory=list)
    waiting: list[Location] = field(default_factory=list)
    """Photos attached to the next question."""
    last_answer: str | None = None
    last_photos: tuple[Location, ...] = ()
    """Photos of the last question with photos, which `draw` draws on."""

    def ask(self, text: str) -> Generator[str, None, Answer]:
        """Ask with the waiting photos, at <image> tags if any, and yield the answer in pieces.

        Raises: PhotoError or EngineError; the photos keep waiting.
        """
        question = Message("user", _parts(text, self.waiting))
        system = (Message("system", (self.system,)),) if self.system else ()
        messages = (*system, *self.history, question)
        request = Request("chat", messages, self.max_new_tokens)
        answer = yield from self.engine.stream(request)
        self.history += [question, Message("assistant", (answer.text,))]
        self._keep(answer, self.waiting)
        return answer

    def caption(self, template: Template) -> Generator[str, None, Answer]:
        """Ask for the dense caption of the waiting photos, or of the last ones.

        The prompt is that of `shenhe caption`, without history.
        Raises: PhotoError, EngineError; FormatError if there are no photos.
        """
        photos = self.waiting or list(self.last_photos)
        if not photos:
            raise FormatError("no_photo", "no photo yet: /image PATH attaches one")
        request = caption.request("chat", photos, template, self.max_new_tokens, form=self.form)
        answer = yield from self.engine.stream(request)
        self._keep(answer, photos)
        return answer

    def clear(self) -> None:
        """Clear everything but the system prompt."""
        self.history, self.waiting = [], []
        self.last_answer, self.last_photos = None, ()

    def draw(self, folder: Path) -> tuple[Recovery, list[Path]]:
        """Draw the last answer, a caption, on its photos. Returns the caption and the overlays.

        Raises: FormatError if it is no caption; PhotoError; RunError if it cannot be written.
        """
        if self.last_answer is None or not self.last_photos:
            raise FormatError("no_photo", "no answer about a photo yet")
        recovery = recover(self.last_answer, len(self.last_photos), form=self.form)
        paths = []
        for photo, objects in zip(self.last_photos, recovery.caption.photos, strict=True):
            path = overlay_path(folder, photo)
            write_overlay(photo, objects, path)
            paths.append(path)
        return recovery, paths

    def _keep(self, answer: Answer, photos: Sequence[Location]) -> None:
        self.last_answer = answer.text
        if photos:
            self.last_photos = tuple(photos)
        self.waiting = []


def _parts(text: str, photos: Sequence[Location]) -> tuple[str | ImagePart, ...]:
    """Put each photo at its tag; photos without a tag come before the text."""
    pieces = text.split(IMAGE_TAG)
    if len(pieces) == 1:
        return (*map(ImagePart, photos), text)
    parts: list[str | ImagePart] = []
    remaining = list(photos)
    for index, piece in enumerate(pieces):
        if index and remaining:
            parts.append(ImagePart(remaining.pop(0)))
        if piece:
            parts.append(piece)
    return (*map(ImagePart, remaining), *parts)
