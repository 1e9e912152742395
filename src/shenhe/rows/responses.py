"""Rows of `shenhe infer`: a model's answer to a row of a dataset, with the keys of ms-swift."""

from __future__ import annotations

from pydantic import Field, JsonValue

from shenhe.messages import FinishReason, PhotoFacts
from shenhe.row_types import Extra, FailedItem, FailureReason, Row, RunMeta


class SwiftMessage(Row):
    """One message; an <image> tag in its content stands for a photo."""

    role: str
    content: str


class SwiftImage(Row):
    """One photo; a row holds no bytes: those that a dataset held are a file by now."""

    bytes: None = None
    path: str


class ResponseMeta(RunMeta):
    """What an answer was made with.

    `resized_wh` are the sizes at which the model saw the photos, in pixels; `facts` are in the
    order of the photos.
    """

    resized_wh: list[tuple[int, int]]
    facts: list[PhotoFacts] = Field(default_factory=list)


class DatasetItem(Row):
    """What identifies a row of a dataset: `id` alone, `dataset` and `line` say where it stood."""

    id: str
    dataset: str
    line: int

    @property
    def key(self) -> str:
        """The key of the row: its id."""
        return self.id


class ResponseRow(Row):
    """The answer to a row of a dataset: `messages` end with it, `labels` is what the row gave.

    `sizes_wh` are the sizes of the upright originals, in pixels, one a photo. `extra` are the keys
    of the row that are none of these.
    """

    id: str
    response: str
    labels: JsonValue
    logprobs: None = None
    messages: list[SwiftMessage]
    images: list[SwiftImage] | None
    dataset: str
    line: int
    finish_reason: FinishReason
    sizes_wh: list[tuple[int, int]]
    timestamp: str
    meta: ResponseMeta
    extra: Extra = Field(default_factory=dict)

    @property
    def key(self) -> str:
        """The key of the row: its id."""
        return self.id


# Bases stand in the reverse order of their fields: pydantic takes those of the last base first.
class ResponseFailure(FailureReason, DatasetItem, FailedItem):
    """A row of a dataset without an answer, and why."""
