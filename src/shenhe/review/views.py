"""What the page of a group shows, and the opinion that its form sends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Self, get_args

from shenhe.formats.verdict import photos_named
from shenhe.locations import locate
from shenhe.printable import printable
from shenhe.review.corrections import Corrections, corrections_of, list_model_objects
from shenhe.review.forms import read_faults
from shenhe.review.index import GroupRows
from shenhe.row_types import EVIDENCE_OFF, Evidence
from shenhe.rows.corrected_objects import CorrectedObject
from shenhe.rows.decision_rows import Decision, DecisionChoice, Opinion
from shenhe.rows.photo_marks import PhotoMark
from shenhe.values import PASS, photo_key
from shenhe.web.pictures import photo_tag

CHOICES: tuple[DecisionChoice, ...] = get_args(DecisionChoice)


@dataclass(frozen=True, slots=True)
class ReviewPhoto:
    """A photo of a group with its line, and the correction of a person."""

    key: str
    name: str
    tag: str
    line: str
    corrected: str
    named: bool
    damaged_inside: str
    """Damage that the decoder reported, or empty."""
    objects: tuple[CorrectedObject, ...] | None
    """Objects of its caption, as a person left them; None where there is no caption."""
    model_objects: tuple[CorrectedObject, ...] | None
    """Objects that the model named."""
    is_corrected: bool
    """Whether a person corrected its caption."""
    marks: list[PhotoMark]
    """What is said of it beside the model."""


class BlindPhoto(NamedTuple):
    """A photo of a group as the blind audit shows it."""

    key: str
    name: str
    tag: str
    damaged_inside: str


@dataclass(frozen=True, slots=True)
class Draft:
    """Contents of the form: the last opinion, or one that has not been stored."""

    comment: str = ""
    faults: tuple[str, ...] = ()
    lines: Mapping[str, str] = field(default_factory=dict)
    shapes: Corrections = field(default_factory=dict)
    descs: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    typed_shapes: str = ""
    """Corrections of captions as a form sent them, where they are none."""

    @classmethod
    def of(cls, opinion: Opinion | None, typed_shapes: str = "") -> Self:
        """Begin with an opinion, or with an empty form."""
        if opinion is None:
            return cls()
        return cls(
            comment=opinion.comment,
            faults=opinion.faults,
            lines=opinion.lines,
            shapes=opinion.shapes,
            descs=opinion.descs,
            typed_shapes=typed_shapes,
        )


def lay_out_photos(group: GroupRows, draft: Draft) -> list[ReviewPhoto]:
    """Lay out the photos of a group."""
    named_keys, marks = photos_named(group.verdict.reason), group.marks
    named = list_model_objects(group)
    corrections = corrections_of(draft, named)
    photos = []
    for index, image in enumerate(group.images):
        key = photo_key(index)
        line = group.lines.get(key, "")
        photos.append(
            ReviewPhoto(
                key,
                printable(locate(image).name),
                photo_tag(image),
                line,
                draft.lines.get(key, line),
                key in named_keys,
                group.summary.damaged_inside(key) if group.summary else "",
                corrections.get(key, named.get(key)),
                named.get(key),
                key in corrections,
                marks.of_photo(index),
            )
        )
    return photos


def lay_out_blind_photos(group: GroupRows) -> list[BlindPhoto]:
    """Lay out the photos of a group without what the model says of them."""
    damage = group.summary.damaged_inside if group.summary else str
    return [
        BlindPhoto(key, printable(locate(image).name), photo_tag(image), damage(key))
        for key, image in ((photo_key(index), image) for index, image in enumerate(group.images))
    ]


def name_missing_evidence(evidence: Evidence | None) -> str:
    """Name the sentence of the pages that says why a group has no table of evidence.

    >>> name_missing_evidence(None)
    'evidence_unknown'
    """
    if evidence is None:
        return "evidence_unknown"
    if evidence.rules in ("", EVIDENCE_OFF):
        return "evidence_off" if evidence.rules else "evidence_no_rules"
    return "evidence_nothing"


def read_opinion(form: Mapping[str, str], group: GroupRows) -> Opinion:
    """Read the opinion that a form sends, without captions; unchanged lines are left out.

    Raises: pydantic.ValidationError for an unknown choice.
    """
    lines = {}
    for index in range(len(group.images)):
        key = photo_key(index)
        line = " ".join(form.get(f"line-{key}", "").split())
        if line and line != group.lines.get(key, ""):
            lines[key] = line
    return Opinion.model_validate(
        {
            "choice": form.get("choice", ""),
            "comment": form.get("comment", "").strip(),
            "faults": read_faults(form),
            "lines": lines,
        }
    )


def answer_label(
    opinion: Opinion, group: GroupRows, current: Decision | None, *, asked: bool
) -> Opinion:
    """Give an opinion with its answer to whether the label is wrong.

    通过 says so where the page asks, and keeps what the present decision says of the label.
    """
    is_wrong = asked
    if current and current.opinion and current.stands_on(group.entry.inputs):
        is_wrong |= current.opinion.label_wrong
    return opinion.model_copy(update={"label_wrong": is_wrong and opinion.choice == PASS})
