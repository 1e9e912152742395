"""Comparison of Stage-A rows with the photos that lie in the tree: what is redone, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from shenhe.config import Mission
from shenhe.config.label_folders import LABELS
from shenhe.errors import IntakeError
from shenhe.intake import PhotoTree
from shenhe.intake.fingerprints import add_content_hash
from shenhe.intake.label_folder import BAD_NAME, SPLIT
from shenhe.locations import location_text
from shenhe.rows import fingerprints
from shenhe.rows.fields import label_of, list_of, meta_of
from shenhe.rows.keys import failures_file, key_of
from shenhe.rows.ledger import Json, read_rows, rewrite
from shenhe.rows.row_index import RowIndex
from shenhe.runs.work import StaleRows
from shenhe.values import Group, Label, group_key

ALL_LABELS: tuple[Label | None, ...] = (*LABELS.values(), None)
OLDER = "of an older version, which noted no more of their photos than the names"
GONE = "whose folder is gone"
MOVED = "moved to another label"
UNREAD = "whose folder cannot be read now"


class _WithoutRow:
    """All keys that an index does not hold."""

    def __init__(self, done: RowIndex) -> None:
        self._done = done

    def __contains__(self, key: object) -> bool:
        return key not in self._done


def find_changes(tree: PhotoTree, mission: Mission, rows_path: Path, done: RowIndex) -> StaleRows:
    """Compare every group that has a row with its folder; each folder is listed once.

    Photos are read only where their times alone differ from the row's; if their contents are equal,
    the row stays and the index takes the new times. Rows of an older version have names alone: if
    those are equal, the index takes the current fingerprint, so that this is reported once.
    Raises: IntakeError if the tree has no folder for the mission.
    """
    stale = StaleRows()
    changed: dict[str, Group] = {}
    folders = older_rows = 0
    for group in tree.groups(mission, skip=_WithoutRow(done)):
        folders += 1
        inputs_hash = done.inputs_hash(group.key)
        if group.code in (BAD_NAME, SPLIT):
            changed[group.key] = group
        elif group.problem:
            stale.kept[UNREAD] += 1
        elif inputs_hash is None:
            older_rows += 1
        elif not _is_unchanged(group, inputs_hash, done):
            changed[group.key] = group
    if older_rows:
        _compare_older_rows(tree, mission, rows_path, done, stale)
    if changed:
        stale.redone.update(_describe_changes(rows_path, changed))
        stale.keys.update(changed)
    if folders < len(done):
        _add_moved(tree, mission, done, stale)
    return stale


def drop_obsolete_failures(tree: PhotoTree, mission: Mission, rows_path: Path) -> None:
    """Drop the failures of groups whose folder was renamed, moved or removed."""

    def has_folder(row: Json) -> bool:
        try:
            return tree.has_group(mission, label_of(row), str(row.get("group_id")))
        except IntakeError:
            return True

    rewrite(failures_file(rows_path), has_folder)


def _is_unchanged(group: Group, inputs_hash: str, done: RowIndex) -> bool:
    """Compare a group with the fingerprint of its row; renew one whose times alone are outdated."""
    if fingerprints.same_listing(inputs_hash, group.inputs):
        return True
    current = group.inputs
    if fingerprints.same_names(inputs_hash, current):
        current = add_content_hash(current, group.photos)
    if fingerprints.same_contents(inputs_hash, current):
        done.renew(group.key, current)
        return True
    return False


def _add_moved(tree: PhotoTree, mission: Mission, done: RowIndex, stale: StaleRows) -> None:
    """Separate groups that moved to another label from those whose folder is gone."""
    for key in done.keys():  # noqa: SIM118
        _, label, group_id = key.split("\x1f", 2)
        try:
            if tree.has_group(mission, _LABELS[label], group_id):
                continue
            moved = _has_moved(tree, mission, key, group_id, done)
        except IntakeError:
            moved = False
        if moved:
            stale.keys.add(key)
            stale.redone[MOVED] += 1
        else:
            stale.kept[GONE] += 1


_LABELS: Mapping[str, Label | None] = {"pass": "pass", "fail": "fail", "": None}


def _has_moved(tree: PhotoTree, mission: Mission, key: str, group_id: str, done: RowIndex) -> bool:
    """Whether another label has a folder of the group that is new or holds the same photos."""
    inputs_hash = done.inputs_hash(key)
    for label in ALL_LABELS:
        label_key = group_key(mission.name, label, group_id)
        if label_key == key or not tree.has_group(mission, label, group_id):
            continue
        label_hash = done.inputs_hash(label_key)
        if label_key not in done or (
            inputs_hash and label_hash and fingerprints.same_names(inputs_hash, label_hash)
        ):
            return True
    return False


def _compare_older_rows(
    tree: PhotoTree, mission: Mission, rows_path: Path, done: RowIndex, stale: StaleRows
) -> None:
    """Compare rows without a fingerprint with their folders, row by row: memory stays flat."""
    for row in read_rows(rows_path):
        key = key_of(row)
        if done.inputs_hash(key) is not None or key in stale.keys:
            continue
        try:
            group = tree.group(mission, label_of(row), str(row["group_id"]))
        except IntakeError:  # counted as GONE or UNREAD
            continue
        if group is None or group.problem:
            continue
        if reason := _difference(row, group):
            stale.keys.add(key)
            stale.redone[reason] += 1
        else:
            done.renew(key, group.inputs)
            stale.kept[OLDER] += 1


def _describe_changes(rows_path: Path, changed: Mapping[str, Group]) -> Iterator[str]:
    """Yield the reason for each group that has changed."""
    for row in read_rows(rows_path):
        group = changed.get(key_of(row))
        if group is not None:
            yield _difference(row, group) or "photos replaced"


def _difference(row: Json, group: Group) -> str:
    """Describe how the names in a group's folder differ from its row; empty if they do not."""
    if group.code == BAD_NAME:
        return "a name that is not UTF-8"
    if group.code == SPLIT:
        return "photos in several folders"
    row_images = set(list_of(row, "images"))
    images = {location_text(photo) for photo in group.photos}
    if images - row_images and row_images - images:
        return "photos added and removed"
    if images - row_images:
        return "photos added"
    if row_images - images:
        return "photos removed"
    if [asdict(file) for file in group.left_out] != list_of(meta_of(row), "left_out"):
        return "something else beside the photos"
    return ""
