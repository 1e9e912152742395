"""Rows that cross disk: frozen pydantic models that refuse unknown keys."""

from __future__ import annotations

import math
from typing import Annotated, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)

from shenhe.locations import Location, locate
from shenhe.messages import FinishReason, PhotoFacts
from shenhe.timestamps import utc_now as utc_now  # who writes rows takes it from here
from shenhe.values import (
    EvidenceItem,
    Label,
    LeftOut,
    Ruling,
    group_key,
    ordered_lines,
    photos_key,
)

SCHEMA = 1


class Row(BaseModel):
    """A frozen row of JSONL; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    def to_json(self) -> str:
        """Write the row as one line, without its newline; `extra` only where there is any."""
        is_empty = not getattr(self, "extra", True)
        return self.model_dump_json(by_alias=True, exclude={"extra"} if is_empty else None)


def describe_invalid(error: ValidationError) -> str:
    """Describe the first problem of a row: `field: message`."""
    first = error.errors()[0]
    field = ".".join(map(str, first["loc"]))
    return f"{field}: {first['msg']}" if field else first["msg"]


class AnswerMeta(Row):
    """One answer of the model; sizes and facts are null for text-only requests."""

    raw: str
    finish_reason: FinishReason
    attempts: int
    prompt_tokens: int
    new_tokens: int
    repairs: list[str] = []
    original_wh: tuple[int, int] | None = None
    resized_wh: tuple[int, int] | None = None
    facts: PhotoFacts | None = None


class FormatsMeta(Row):
    """The text formats of a row's answers; those of older versions and of other tools are plain.

    `verdict` holds the form of verdicts in formats that are not built in, so that whoever has the
    row can read its text.
    """

    name: str = "plain"
    hash: str = ""
    verdict: dict[str, JsonValue] | None = None


class RunMeta(Row):
    """What a row was made with.

    `inputs_hash` is that of what the row rests on: a verdict's lines, or a group's photos.
    `left_out` lists files of a group's folder that may be photos and were not looked at; `why` are
    the codes for which a group is undecided, in the order of `values.UNDECIDED_CODES`.
    """

    schema_: int = Field(default=SCHEMA, alias="schema")
    prompt_hash: str
    checkpoint: str
    inputs_hash: str | None = None
    left_out: list[LeftOut] = []
    why: list[str] = []
    formats: FormatsMeta = FormatsMeta()
    answers: dict[str, AnswerMeta]


def known_probability(probability: object) -> float | None:
    """Give a probability, or None for any other value, as NaN: it counts as not known."""
    if isinstance(probability, bool) or not isinstance(probability, int | float):
        return None
    return probability if 0 <= probability <= 1 else None


def known_log_odds(log_odds: object) -> float | None:
    """Give finite log-odds, or None for any other value: they count as not known."""
    if isinstance(log_odds, bool) or not isinstance(log_odds, int | float):
        return None
    return log_odds if math.isfinite(log_odds) else None


class Evidence(Row):
    """What a mission's evidence rules found in the lines of a group.

    `rules` is their hash: empty for a mission that has none, `OFF` where they were turned off.
    """

    rules: str
    items: list[EvidenceItem] = []


EVIDENCE_OFF: Final = "off"


class VerdictMeta(RunMeta):
    """What a verdict row was made with.

    `ruling` is what the model said, whatever holds it back; null where it said nothing that can be
    read, or its votes have no majority. `log_odds` is that of 通过 against 不通过, natural, of the
    answer that won: unlike `p_pass` it does not saturate. `evidence` is null in rows of earlier
    versions and of other tools. `promise` is the hash of the promise that decided.
    """

    ruling: Ruling | None = None
    log_odds: Annotated[float | None, BeforeValidator(known_log_odds)] = None
    evidence: Evidence | None = None
    promise: str | None = None


class CaptionMeta(RunMeta):
    """What a caption row was made with.

    `resized_wh` are the sizes at which the model saw the photos, in pixels; `facts` are in the
    order of the photos.
    """

    truncated: bool
    resized_wh: list[tuple[int, int]]
    facts: list[PhotoFacts] = []


MAX_DEPTH: Final = 64
"""Maximum depth of what another tool gave a row: rows that hold it are to be read again."""


def refuse_depth(extra: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Refuse what is nested deeper than readers of JSON go, once a row is written round it.

    Raises: ValueError.
    """
    level: list[JsonValue] = list(extra.values())
    for _ in range(MAX_DEPTH):
        if not level:
            return extra
        nested = (value for value in level if isinstance(value, list | dict))
        level = [
            inner
            for value in nested
            for inner in (value.values() if isinstance(value, dict) else value)
        ]
    raise ValueError(f"nested deeper than {MAX_DEPTH} levels")


Extra = Annotated[dict[str, JsonValue], AfterValidator(refuse_depth)]
"""What another tool gave a row."""


class GroupRow(Row):
    """A row about a group, which its first fields identify."""

    group_id: str = Field(min_length=1)
    mission: str = Field(min_length=1)
    label: Label | None

    @property
    def key(self) -> str:
        """The key of the group, see `group_key`."""
        return group_key(self.mission, self.label, self.group_id)


class SummaryRow(GroupRow):
    """Stage-A: one line of Chinese for every photo of a group.

    `extra` are the keys that another tool gave the row.
    """

    images: list[str]
    per_image: Annotated[dict[str, str], AfterValidator(ordered_lines)]
    timestamp: str
    meta: RunMeta
    extra: Extra = {}

    @property
    def photos(self) -> tuple[Location, ...]:
        """Locations of the photos, in their order."""
        return tuple(map(locate, self.images))

    def damaged_inside(self, key: str) -> str:
        """Give the damage inside the photo of a key, 图片_1 on; empty if it is whole."""
        answer = self.meta.answers.get(key)
        return ((answer.facts and answer.facts.damaged_inside) or "") if answer else ""


class VerdictRow(GroupRow):
    """Stage-B: the verdict of a group; `verdict` is null exactly if it is undecided.

    `p_pass` is from 0 to 1, or null if it is not known. `extra` are the keys that another tool gave
    the row, or the Stage-A row that it was made from.
    """

    verdict: Ruling | None
    reason: str
    p_pass: Annotated[float | None, BeforeValidator(known_probability)]
    status: Literal["decided", "undecided"]
    raw: str
    timestamp: str
    meta: VerdictMeta
    extra: Extra = {}

    @model_validator(mode="after")
    def _is_of_one_mind(self) -> Self:
        if (self.verdict is None) is not (self.status == "undecided"):
            raise ValueError(f"status {self.status} contradicts verdict {self.verdict}")
        return self


class PhotosRow(Row):
    """A row about photos that are captioned together, which its first field identifies."""

    images: list[str]

    @property
    def key(self) -> str:
        """The key of the photos, see `photos_key`."""
        return photos_key(self.images)

    @property
    def photos(self) -> tuple[Location, ...]:
        """Locations of the photos, in their order."""
        return tuple(map(locate, self.images))


class CaptionRow(PhotosRow):
    """The dense caption of photos seen together; `caption` is grouped JSON, in the 0-1000 frame.

    `sizes_wh` are those of the upright originals, in pixels, one a photo.
    """

    caption: dict[str, dict[str, dict[str, object]]]
    sizes_wh: list[tuple[int, int]]
    raw: str
    repairs: list[str]
    timestamp: str
    meta: CaptionMeta


class FailedItem(Row):
    """The first fields of a failure: the photo or the answer at fault."""

    schema_: int = Field(default=SCHEMA, alias="schema")
    item: str


class FailureReason(Row):
    """The last fields of a failure; `raw` is the model's text, if it wrote one."""

    code: str
    message: str
    raw: str | None = None
    attempts: int = 1
    timestamp: str
    session: str | None = None
    """The run of the output that wrote it; older versions wrote none."""


# Bases stand in the reverse order of their fields: pydantic takes those of the last base first.
class CaptionFailure(FailureReason, PhotosRow, FailedItem):
    """Photos without a caption, and why."""


class Failure(FailureReason, GroupRow, FailedItem):
    """An item of a group that was not done, and why."""
