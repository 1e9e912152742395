"""The rows that cross disk, and the values and messages that stay in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from shenhe.geometry import Shape, Size
from shenhe.locations import Location

SCHEMA = 1
PASS: Final = "通过"
FAIL: Final = "不通过"

Label = Literal["pass", "fail"]
Ruling = Literal["通过", "不通过"]
EXPECTED: Final[Mapping[Label, Ruling]] = {"pass": PASS, "fail": FAIL}
"""The verdict that a label asks for."""
WHY: Final = ("stage_a_incomplete", "left_out", "duplicate_group", "unsure", "format")
"""Why a group is undecided, the first that applies first; behind these come an engine's codes."""
FinishReason = Literal["stop", "length", "loop"]
"""An answer ended by itself, at the token limit, or because it went round in a circle."""


def photo_key(index: int) -> str:
    """Name the photo at a 0-based index as prompts, captions and rows do: 图片_1 is the first."""
    return f"图片_{index + 1}"


def utc_now() -> str:
    """Give the present time as rows write it: 2025-10-24T12:34:56.000000Z."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


# --- values ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CaptionObject:
    """One thing on a photo. Units: the shape is in the 0-1000 frame of the upright photo."""

    shape: Shape
    desc: str


@dataclass(frozen=True, slots=True)
class Caption:
    """The objects of each photo asked about, in the order of the photos. Zero objects is valid."""

    photos: tuple[tuple[CaptionObject, ...], ...]


@dataclass(frozen=True, slots=True)
class Annotation:
    """What is on one photo, by a model or by people. Units: shapes in the 0-1000 frame.

    `size_wh` is that of the upright original, in pixels.
    """

    image: Location
    size_wh: Size
    objects: tuple[CaptionObject, ...]
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a well-formed verdict text says."""

    verdict: Ruling
    reason: str


@dataclass(frozen=True, slots=True)
class Group:
    """The photos that are judged together for one mission, in natural order.

    `problem` says why the group cannot be looked at, where it cannot, and `code` is its code.
    `left_out` is what may be a photo, and is not looked at. `inputs` tells these photos from what
    may lie there later, see `intake.fingerprints`.
    """

    group_id: str
    mission: str
    label: Label | None
    photos: tuple[Location, ...]
    problem: str = ""
    code: str = "unreadable"
    left_out: tuple[LeftOut, ...] = ()
    inputs: str = ""

    @property
    def key(self) -> str:
        """Tell this group from every other, also from one of the same id under another label."""
        return group_key(self.mission, self.label, self.group_id)


def group_key(mission: str, label: Label | None, group_id: str) -> str:
    """Join what identifies a group into one string."""
    return "\x1f".join((mission, label or "", group_id))


def photos_key(images: Sequence[str]) -> str:
    """Join the paths of photos that are seen together into one string."""
    return "\x1f".join(images)


# --- requests and answers -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ImagePart:
    """A photo inside a message, by reference: engines open its pixels."""

    path: Location


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation: text and photos in order."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[str | ImagePart, ...]


@dataclass(frozen=True, slots=True)
class Grammar:
    """What an answer must be, as Lark, and as a regular expression, which cannot say as much.

    `photos` are those of a caption, `highest` its largest number.
    """

    kind: Literal["caption", "summary", "verdict"]
    lark: str
    regex: str
    photos: int = 0
    highest: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """One question to an engine.

    `choices` asks for the log-probability of each as the opening. `grammar` is what the answer must
    be; an engine that is told not to constrain, or cannot, passes it over. `temperature` is the
    least it may be answered with.
    """

    key: str
    messages: tuple[Message, ...]
    max_new_tokens: int
    choices: tuple[str, ...] = ()
    attempt: int = 0
    grammar: Grammar | None = None
    temperature: float = 0.0


@dataclass(frozen=True, slots=True)
class PhotoSize:
    """Both sizes of a photo, in pixels: of the upright original, and as the model saw it.

    `damaged_inside` is what the decoder said of data that make no sense, empty where all is well.
    """

    original_wh: Size
    resized_wh: Size
    damaged_inside: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an engine wrote for the request of the same key; `sizes` follow its photos."""

    key: str
    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    new_tokens: int
    sizes: tuple[PhotoSize, ...] = ()
    choice_logprobs: Mapping[str, float] = field(default_factory=dict)
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Failed:
    """A request that got no answer, and why; `key` and `attempt` are the request's."""

    key: str
    code: str
    message: str
    attempt: int = 0


# --- rows -----------------------------------------------------------------------------------


class Row(BaseModel):
    """A frozen row of JSONL; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    def to_json(self) -> str:
        """Write the row as one line, without its newline."""
        return self.model_dump_json(by_alias=True)


class PhotoFacts(Row):
    """What is known of a photo itself: `damaged_inside` as the decoder put it, null where whole."""

    damaged_inside: str | None = None


class AnswerMeta(Row):
    """What is kept of one answer: sizes and facts are null for text-only questions."""

    raw: str
    finish_reason: FinishReason
    attempts: int
    prompt_tokens: int
    new_tokens: int
    repairs: list[str] = []
    original_wh: tuple[int, int] | None = None
    resized_wh: tuple[int, int] | None = None
    facts: PhotoFacts | None = None


class LeftOut(Row):
    """What lies in a group's folder, may be a photo, and was not looked at.

    `path` is told from the group's folder; `kind` is the file's by its first bytes, or why it is
    not known: broken_link, unreadable, unfinished, unknown.
    """

    path: str
    kind: str


class RunMeta(Row):
    """What a row was made with.

    `inputs_hash` is that of what the row rests on: a verdict's lines, or a group's photos.
    `left_out` is what a group's folder holds beside its photos and may be one; `why` are the codes
    for which a group is undecided, in the order of `records.WHY`.
    """

    schema_: int = Field(default=SCHEMA, alias="schema")
    prompt_hash: str
    checkpoint: str
    inputs_hash: str | None = None
    left_out: list[LeftOut] = []
    why: list[str] = []
    answers: dict[str, AnswerMeta]


class CaptionMeta(RunMeta):
    """What a caption row was made with; `resized_wh` are the photos as the model saw them.

    `facts` are those of its photos, in their order.
    """

    truncated: bool
    resized_wh: list[tuple[int, int]]
    facts: list[PhotoFacts] = []


class SummaryRow(Row):
    """Stage-A: one line of Chinese for every photo of a group."""

    group_id: str
    mission: str
    label: Label | None
    images: list[str]
    per_image: dict[str, str]
    timestamp: str
    meta: RunMeta

    @property
    def key(self) -> str:
        """The key of the group, see `group_key`."""
        return group_key(self.mission, self.label, self.group_id)

    def damaged_inside(self, key: str) -> str:
        """Tell what is damaged in the photo of a key, 图片_1 on; nothing where it is whole."""
        answer = self.meta.answers.get(key)
        return ((answer.facts and answer.facts.damaged_inside) or "") if answer else ""


def known_probability(probability: Any) -> float | None:
    """Give a probability; what is none, as NaN, is not known, whoever wrote it."""
    if isinstance(probability, bool) or not isinstance(probability, int | float):
        return None
    return probability if 0 <= probability <= 1 else None


class VerdictRow(Row):
    """Stage-B: the verdict of a group; `verdict` is null exactly where it is undecided.

    `p_pass` is from 0 to 1, or null where it is not known.
    """

    group_id: str
    mission: str
    label: Label | None
    verdict: Ruling | None
    reason: str
    p_pass: Annotated[float | None, BeforeValidator(known_probability)]
    status: Literal["decided", "undecided"]
    raw: str
    timestamp: str
    meta: RunMeta

    @model_validator(mode="after")
    def _is_of_one_mind(self) -> Self:
        if (self.verdict is None) is not (self.status == "undecided"):
            raise ValueError(f"status {self.status} contradicts verdict {self.verdict}")
        return self

    @property
    def key(self) -> str:
        """The key of the group, see `group_key`."""
        return group_key(self.mission, self.label, self.group_id)


class CaptionRow(Row):
    """The dense caption of photos seen together; `caption` is grouped JSON, 0-1000.

    `sizes_wh` are those of the upright originals, in pixels, one a photo.
    """

    images: list[str]
    caption: dict[str, dict[str, dict[str, Any]]]
    sizes_wh: list[tuple[int, int]]
    raw: str
    repairs: list[str]
    timestamp: str
    meta: CaptionMeta

    @property
    def key(self) -> str:
        """The key of the photos, see `photos_key`."""
        return photos_key(self.images)


class CaptionFailure(Row):
    """Photos that got no caption, and why; `item` is the photo or the answer at fault."""

    schema_: int = Field(default=SCHEMA, alias="schema")
    item: str
    images: list[str]
    code: str
    message: str
    raw: str | None = None
    attempts: int = 1
    timestamp: str
    session: str | None = None
    """Which run of the output told of it; earlier ones did not say."""


class Failure(Row):
    """An item that was not done, and why; `raw` is the model's text where there is any."""

    schema_: int = Field(default=SCHEMA, alias="schema")
    item: str
    group_id: str
    mission: str
    label: Label | None
    code: str
    message: str
    raw: str | None = None
    attempts: int = 1
    timestamp: str
    session: str | None = None
    """Which run of the output told of it; earlier ones did not say."""
