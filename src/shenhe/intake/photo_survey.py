"""A look at all photos of a tree, group by group, without a model."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from shenhe.errors import PhotoError
from shenhe.intake.prefetch import prefetch
from shenhe.locations import Location
from shenhe.messages import PhotoFacts
from shenhe.photos import read_facts
from shenhe.values import Group

MAX_THREADS: Final = 16


@dataclass(frozen=True, slots=True)
class SurveyedPhoto:
    """A photo and its facts; without them, the code and the message of why it cannot be read."""

    path: Location
    facts: PhotoFacts | None
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class SurveyedGroup:
    """A group and its photos, in their order."""

    group: Group
    photos: tuple[SurveyedPhoto, ...]


def survey(groups: Iterable[Group]) -> Iterator[SurveyedGroup]:
    """Look at the photos of groups, in order, in as many threads as there are processors.

    for surveyed in survey(tree.groups(mission)):
        print(surveyed.group.group_id, [photo.facts for photo in surveyed.photos])
    """
    numbered = (
        (number, group, photo)
        for number, group in enumerate(groups)
        for photo in group.photos or (None,)
    )
    threads = min(MAX_THREADS, os.cpu_count() or 1)
    looked_at = prefetch(lambda item: (*item[:2], _look_at(item[2])), numbered, threads)
    for (_, group), items in groupby(looked_at, key=lambda item: item[:2]):
        yield SurveyedGroup(group, tuple(photo for *_, photo in items if photo is not None))


def _look_at(path: Location | None) -> SurveyedPhoto | None:
    if path is None:
        return None
    try:
        return SurveyedPhoto(path, read_facts(path))
    except PhotoError as error:
        return SurveyedPhoto(path, None, error.code, str(error))
