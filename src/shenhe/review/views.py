"""What the page of a group shows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from shenhe.formats.caption import from_grouped
from shenhe.formats.verdict import photos_named
from shenhe.locations import locate
from shenhe.printable import printable
from shenhe.review.index import Found
from shenhe.review.pictures import tag
from shenhe.rows.decision_rows import Decision, DecisionChoice, Opinion
from shenhe.values import photo_key

FURTHER_FAULTS = ("照片不全", "照片不清", "标签有误", "其他")
"""What people fail groups for beside the vocabulary's faults."""
CHOICES: tuple[DecisionChoice, ...] = ("通过", "不通过", "待定")


class Piece(NamedTuple):
    """A part of a reason: a photo's name, with its 1-based place, or words between them (0)."""

    text: str
    photo: int


class ObjectView(NamedTuple):
    """An object of a caption, and what a person made of it."""

    key: str
    desc: str
    corrected: str
    there: bool


@dataclass(frozen=True, slots=True)
class PhotoView:
    """A photo of a group with its line; `corrected` is what a person made of that."""

    key: str
    name: str
    tag: str
    line: str
    corrected: str
    named: bool
    damaged_inside: str
    """What its decoder said of damage, empty where it said nothing."""
    things: list[ObjectView] | None
    """Those of its caption; None where the run has none."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What stands in the fields: what was said last, or what was being written."""

    comment: str = ""
    fault: str = ""
    lines: Mapping[str, str] = field(default_factory=dict)
    descs: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)


def draft_of(current: Decision | None) -> Draft:
    """Go on from what was said last."""
    if current is None or current.opinion is None:
        return Draft()
    said = current.opinion
    return Draft(said.comment, said.fault, said.lines, said.descs)


def photo_views(found: Found, draft: Draft) -> list[PhotoView]:
    """Lay out the photos of a group."""
    named = photos_named(found.verdict.reason)
    views = []
    for index, image in enumerate(found.images):
        key = photo_key(index)
        line = found.lines.get(key, "")
        things = None
        if image in found.captions:
            changed = draft.descs.get(key, {})
            things = [
                ObjectView(
                    name,
                    desc,
                    changed.get(name) or desc,
                    name not in changed or changed[name] is not None,
                )
                for name, desc in descs_of(found, image).items()
            ]
        views.append(
            PhotoView(
                key,
                printable(locate(image).name),
                tag(image),
                line,
                draft.lines.get(key, line),
                key in named,
                found.summary.damaged_inside(key) if found.summary else "",
                things,
            )
        )
    return views


def descs_of(found: Found, image: str) -> dict[str, str]:
    """Give the descs of a photo's caption, object_1 on."""
    (objects,) = from_grouped(found.captions[image].caption).photos
    return {f"object_{number}": thing.desc for number, thing in enumerate(objects, 1)}


def pieces(reason: str, photos: int) -> list[Piece]:
    """Cut a reason where it names a photo that the group has."""
    found = []
    for part in re.split(r"(图片_\d+)", reason):
        place = int(part[3:]) if re.fullmatch(r"图片_\d{1,6}", part) else 0
        found.append(Piece(part, place if place <= photos else 0))
    return [piece for piece in found if piece.text]


def said_of(form: Mapping[str, str], found: Found) -> Opinion:
    """Read what the page's form sends; lines and descs that were not changed are left out.

    Raises: ValueError, of pydantic, for a choice that there is none of.
    """
    lines, descs = {}, {}
    for index, image in enumerate(found.images):
        key = photo_key(index)
        line = " ".join(form.get(f"line-{key}", "").split())
        if line and line != found.lines.get(key, ""):
            lines[key] = line
        if image in found.captions and (changed := _changed(form, key, descs_of(found, image))):
            descs[key] = changed
    return Opinion.model_validate(
        {
            "choice": form.get("choice", ""),
            "comment": form.get("comment", "").strip(),
            "fault": form.get("fault", ""),
            "lines": lines,
            "descs": descs,
        }
    )


def _changed(form: Mapping[str, str], key: str, descs: Mapping[str, str]) -> dict[str, str | None]:
    changed: dict[str, str | None] = {}
    for name, desc in descs.items():
        said = " ".join(form.get(f"desc-{key}-{name}", desc).split())
        if form.get(f"gone-{key}-{name}"):
            changed[name] = None
        elif said and said != desc:
            changed[name] = said
    return changed
