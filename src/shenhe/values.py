"""Captions, judgements and groups: values that stay in memory."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal, TypeVar

from shenhe.geometry import Shape, Size
from shenhe.locations import Location

PASS: Final = "通过"
FAIL: Final = "不通过"
Label = Literal["pass", "fail"]
Ruling = Literal["通过", "不通过"]
EXPECTED: Final[Mapping[Label, Ruling]] = {"pass": PASS, "fail": FAIL}
"""The verdict that agrees with each label."""
STAGE_A_INCOMPLETE: Final = "stage_a_incomplete"
LEFT_OUT: Final = "left_out"
REUSED_PHOTO: Final = "reused_photo"
DUPLICATE_GROUP: Final = "duplicate_group"
UNSURE: Final = "unsure"
EVIDENCE_MISSING: Final = "evidence_missing"
EVIDENCE_AGAINST: Final = "evidence_against"
CONTRADICTION: Final = "contradiction"
FORMAT: Final = "format"
UNDECIDED_CODES: Final = (
    STAGE_A_INCOMPLETE,
    LEFT_OUT,
    REUSED_PHOTO,
    DUPLICATE_GROUP,
    UNSURE,
    EVIDENCE_MISSING,
    EVIDENCE_AGAINST,
    CONTRADICTION,
    FORMAT,
)
"""Codes for which a group is undecided, the decisive one first; codes of engines follow them."""
_PHOTO_KEY: Final = re.compile(r"(?:图片|image)[ _-]?([0-9]{1,9})", re.IGNORECASE)
_Line = TypeVar("_Line")


def photo_key(index: int) -> str:
    """Name the photo at a 0-based index as prompts, captions and rows do: 图片_1 is the first."""
    return f"图片_{index + 1}"


def ordered_lines(lines: Mapping[str, _Line]) -> dict[str, _Line]:
    """Order what is said of each photo by its number, whether as 图片_N or as image_N.

    Numbers stay as they are, also with gaps. Keys without a number, and numbers that stand twice,
    leave everything as it is: nobody knows which photo is meant.

    >>> ordered_lines({"image_10": "b", "image_2": "a"})
    {'图片_2': 'a', '图片_10': 'b'}
    """
    if all(key == photo_key(index) for index, key in enumerate(lines)):
        return dict(lines)
    numbered: dict[int, _Line] = {}
    for key, line in lines.items():
        match = _PHOTO_KEY.fullmatch(unicodedata.normalize("NFKC", key).strip())
        if match is None or int(match[1]) in numbered:
            return dict(lines)
        numbered[int(match[1])] = line
    return {photo_key(number - 1): numbered[number] for number in sorted(numbered)}


@dataclass(frozen=True, slots=True)
class CaptionObject:
    """An object on a photo. Units: the shape is in the 0-1000 frame of the upright photo."""

    shape: Shape
    desc: str


@dataclass(frozen=True, slots=True)
class Caption:
    """The objects of each photo, in the order of the photos. Zero objects is valid."""

    photos: tuple[tuple[CaptionObject, ...], ...]


@dataclass(frozen=True, slots=True)
class Annotation:
    """The objects of one photo, named by a model or by people. Units: shapes in the 0-1000 frame.

    `size_wh` is that of the upright original, in pixels. `extra` is what another tool said of the
    photo, which training rows carry on.
    """

    image: Location
    size_wh: Size
    objects: tuple[CaptionObject, ...]
    summary: str = ""
    extra: Mapping[str, object] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Judgement:
    """The content of a well-formed verdict text."""

    verdict: Ruling
    reason: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file in a group's folder that may be a photo and was not looked at.

    `path` is relative to the group's folder. `kind` is the file's kind by its first bytes, or the
    reason why that is unknown: broken_link, unreadable, unfinished, unknown.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}  # rows hold it, and refuse unknown keys

    path: str
    kind: str


@dataclass(frozen=True, slots=True)
class ReusedPhoto:
    """A photo of a group that another group uses too, or one that looks nearly the same.

    `photo` is its key, 图片_1 on; `group_id`, `mission` and `run` name the other group, `run` the
    earlier run that it is of. `same_content` says that the files are equal, `same_order` that it is
    the same work order.
    """

    photo: str
    group_id: str
    mission: str
    run: str = ""
    same_content: bool = True
    same_order: bool = False


EvidenceState = Literal["seen", "missing", "doubtful", "stated", "settled"]
"""A need is seen, missing, or only doubtful; a fault is stated, or settled by another photo."""


@dataclass(frozen=True, slots=True)
class EvidenceItem:
    """What the lines of a group say of one need, or of one fault, of its mission.

    `item` is its name in the rules. `right`, `wrong` and `doubtful` are the keys of the photos
    whose lines say so: 图片_1 on. `place` is the place of installation where lines tell several.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}  # rows hold it, and refuse unknown keys

    item: str
    kind: Literal["need", "fault"]
    state: EvidenceState
    right: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    doubtful: tuple[str, ...] = ()
    place: str = ""

    def seen_on(self, photo: str) -> Literal["right", "wrong", "doubtful", ""]:
        """Say how a photo shows the item, the worst if it does so in several ways.

        >>> EvidenceItem("电线", "fault", "stated", wrong=("图片_2",)).seen_on("图片_2")
        'wrong'
        """
        if photo in self.wrong:
            return "wrong"
        if photo in self.doubtful:
            return "doubtful"
        return "right" if photo in self.right else ""


@dataclass(frozen=True, slots=True)
class Group:
    """The photos that are judged together for one mission, in natural order.

    `problem` says why the group cannot be looked at, empty if it can, and `code` is its code.
    `left_out` lists files that may be photos and are not looked at. `inputs` is the fingerprint of
    the photos, see `intake.fingerprints`.
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
        """Identify the group; a group of the same id under another label has another key."""
        return group_key(self.mission, self.label, self.group_id)


def group_key(mission: str, label: Label | None, group_id: str) -> str:
    """Join the identity of a group into one string."""
    return "\x1f".join((mission, label or "", group_id))


def photos_key(images: Sequence[str]) -> str:
    """Join the paths of photos that are captioned together into one string."""
    return "\x1f".join(images)
