"""Groups that a model was trained on: they say nothing of groups that it has never seen."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from shenhe.errors import RunError, UsageError, spelled
from shenhe.locations import Location, locate_beside
from shenhe.promise.clusters import locate_whole, read_stage_a
from shenhe.promise.contents import find_equal, size_of
from shenhe.rows.fields import list_of
from shenhe.rows.group_names import GroupNames, is_group_list, read_group_names
from shenhe.rows.ledger import Json, parse_row, read_lines
from shenhe.rows.words import Words


@dataclass(frozen=True, slots=True)
class TrainingGroups:
    """The keys of the groups of which a photo was trained on, and what could not be compared."""

    keys: frozenset[str]
    notes: tuple[Words, ...] = ()


def find_training_groups(run_dir: Path, training: Sequence[Path]) -> TrainingGroups:
    """Find the groups of a run that have a photo of training rows: of its path, or its contents.

    A file may also name groups instead: see `rows.group_names`.
    Raises: RunError if training rows or Stage-A rows cannot be read, or there are none.
    """
    lists = [file for file in training if is_group_list(file)]
    named = read_group_names(lists)
    trained = _TrainedPhotos([file for file in training if file not in lists])
    candidates: dict[Path, list[str]] = defaultdict(list)
    groups, keys, unread = 0, set(), set()
    for row in read_stage_a(run_dir):
        groups += 1
        if named.match_key(row.key):
            keys.add(row.key)
            continue
        for image in row.images:
            photo = locate_whole(image)
            if photo is not None and str(photo) in trained.texts:
                keys.add(row.key)
            elif not isinstance(photo, Path) or (size := size_of(photo)) is None:
                unread.add((row.key, os.path.basename(image)))
            elif size in trained.distinct_sizes:
                candidates[photo].append(row.key)
    if not groups:
        raise RunError(
            f"{run_dir}: no Stage-A rows: {spelled('not_these')} compares the photos that they name"
        )
    for paths in find_equal({*candidates, *trained.sizes}, set()):
        if not trained.sizes.keys().isdisjoint(paths):
            keys.update(key for path in paths for key in candidates.get(path, ()))
    notes = [*trained.describe(keys, unread), *_describe_unmatched(named)]
    return TrainingGroups(frozenset(keys), tuple(notes))


def _describe_unmatched(named: GroupNames) -> Iterator[Words]:
    if names := named.describe_unmatched():
        yield Words(
            f"名单里有 {len(named.unmatched):,} 个名字不是这次运行的组：{names}",
            f"{len(named.unmatched):,} names of the list are of no group of this run: {names}",
        )


class _TrainedPhotos:
    """The photos of training rows: `missing` ones cannot be read here."""

    def __init__(self, training: Sequence[Path]) -> None:
        """Read the rows.

        Raises: RunError if rows cannot be read, or none has photos.
        """
        photos: set[Location] = set()
        self.blank = 0
        for file in training:
            for number, line in read_lines(file):
                images = set(_images(file, parse_row(file, number, line)))
                self.blank += not images
                photos |= images
        if training and not photos:
            raise RunError(f"{', '.join(map(str, training))}: no training row names a photo")
        self.texts = frozenset(map(str, photos))
        local = [photo for photo in photos if isinstance(photo, Path)]
        sizes = ((path, size_of(path)) for path in local)
        self.sizes = {path: size for path, size in sizes if size is not None}
        self.distinct_sizes = frozenset(self.sizes.values())
        self.names = frozenset(photo.name for photo in photos)
        self.missing = len(photos) - len(self.sizes)

    def describe(self, keys: set[str], unread: set[tuple[str, str]]) -> Iterator[Words]:
        """Say what could not be compared: `unread` are keys of groups, with names of photos."""
        open_keys = {key for key, _ in unread} - keys
        by_name = {key for key, name in unread if name in self.names} - keys
        if self.missing:
            yield Words(
                f"有 {self.missing:,} 张训练照片在这里读不到",
                f"{self.missing:,} training photos cannot be read here",
            )
        if open_keys:
            yield Words(
                f"有 {len(open_keys):,} 组的照片在这里读不到，只按路径与训练照片比对；"
                f"其中 {len(by_name):,} 组有照片与训练照片同名",
                f"photos of {len(open_keys):,} groups cannot be read here, and were compared with"
                f" training photos by path alone; {len(by_name):,} of the groups have one of the"
                " name of a training photo",
            )
        if self.blank:
            yield Words(
                f"有 {self.blank:,} 行训练数据没有写照片",
                f"{self.blank:,} training rows name no photo",
            )


def _images(file: Path, row: Json) -> Iterator[Location]:
    """Yield the photos of a training row: of `images`, or of the parts of its messages."""
    parts: list[object] = [*list_of(row, "images")]
    for message in list_of(row, "messages"):
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else ():
            parts += [part["image"]] if isinstance(part, dict) and "image" in part else []
    for part in parts:
        name = part.get("path") if isinstance(part, dict) else part
        if isinstance(name, str) and name:
            yield from _located(file, name)


def _located(file: Path, name: str) -> Iterable[Location]:
    try:
        location = locate_beside(file.absolute(), name)
    except UsageError:  # an image that stands in the row itself, as data:
        return ()
    return (Path(os.path.normpath(location)) if isinstance(location, Path) else location,)
