"""Rows of Stage-A against the photos as they lie there now: what is done anew, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from shenhe.config import Mission
from shenhe.errors import IntakeError
from shenhe.intake import PhotoTree
from shenhe.intake.fingerprints import add_content_hash
from shenhe.intake.label_folder import BAD_NAME
from shenhe.intake.spelling import LABELS
from shenhe.locations import location_text
from shenhe.rows import fingerprints
from shenhe.rows.fields import label_of, list_of, meta_of
from shenhe.rows.keys import failures_file, key_of
from shenhe.rows.ledger import Json, read_rows, rewrite
from shenhe.rows.row_index import RowIndex
from shenhe.values import Group, Label, group_key

OTHER_LABELS: tuple[Label | None, ...] = (*LABELS.values(), None)
OLDER = "of an older version, which noted no more of their photos than the names"
GONE = "whose folder is gone"
MOVED = "moved to another label"
UNREAD = "whose folder cannot be read now"


@dataclass(frozen=True, slots=True)
class Changes:
    """The keys of groups whose rows no longer say what lies there, why, and what was kept."""

    stale: set[str] = field(default_factory=set)
    done_anew: Counter[str] = field(default_factory=Counter)
    kept_as_is: Counter[str] = field(default_factory=Counter)


class _Others:
    """All keys that an index does not hold."""

    def __init__(self, done: RowIndex) -> None:
        self._done = done

    def __contains__(self, key: object) -> bool:
        return key not in self._done


def changes(tree: PhotoTree, mission: Mission, rows_path: Path, done: RowIndex) -> Changes:
    """Compare every group that has a row with its folder, each folder listed once.

    Photos are read only where their times alone differ from what the row rests on; where they
    hold the same as before, the index takes note of the new times, and the row stays. Of rows of an
    older version names are all that can be compared: where they are the same, the index takes note
    of what lies there now, so that this is told once.
    Raises: IntakeError if the tree has no folder for the mission.
    """
    found = Changes()
    changed: dict[str, Group] = {}
    there = older = 0
    for group in tree.groups(mission, skip=_Others(done)):
        there += 1
        before = done.inputs_hash(group.key)
        if group.code == BAD_NAME:
            changed[group.key] = group
        elif group.problem:
            found.kept_as_is[UNREAD] += 1
        elif before is None:
            older += 1
        elif not fingerprints.same_listing(before, group.inputs):
            now = group.inputs
            if fingerprints.same_names(before, now):
                now = add_content_hash(now, group.photos)
            if fingerprints.same_contents(before, now):
                done.renew(group.key, now)
            else:
                changed[group.key] = group
    if older:
        _compare_older(tree, mission, rows_path, done, found)
    if changed:
        found.done_anew.update(_why(rows_path, changed))
        found.stale.update(changed)
    if there < len(done):
        _add_moved(tree, mission, done, found)
    return found


def drop_gone_failures(tree: PhotoTree, mission: Mission, rows_path: Path) -> None:
    """Drop the failures of groups that are no longer there: renamed, moved or removed."""

    def is_there(row: Json) -> bool:
        try:
            return tree.has_group(mission, label_of(row), str(row.get("group_id")))
        except IntakeError:
            return True

    rewrite(failures_file(rows_path), is_there)


def _add_moved(tree: PhotoTree, mission: Mission, done: RowIndex, found: Changes) -> None:
    """Tell groups whose folder is gone from those that lie under another label now."""
    for key in done.keys():  # noqa: SIM118
        _, label, group_id = key.split("\x1f", 2)
        try:
            if tree.has_group(mission, _LABELS[label], group_id):
                continue
            moved = _lies_elsewhere(tree, mission, key, group_id, done)
        except IntakeError:
            moved = False
        if moved:
            found.stale.add(key)
            found.done_anew[MOVED] += 1
        else:
            found.kept_as_is[GONE] += 1


_LABELS: Mapping[str, Label | None] = {"pass": "pass", "fail": "fail", "": None}


def _lies_elsewhere(
    tree: PhotoTree, mission: Mission, key: str, group_id: str, done: RowIndex
) -> bool:
    """Whether a group lies under another label, as a new one or with the same photos."""
    before = done.inputs_hash(key)
    for label in OTHER_LABELS:
        other = group_key(mission.name, label, group_id)
        if other == key or not tree.has_group(mission, label, group_id):
            continue
        now = done.inputs_hash(other)
        if other not in done or (before and now and fingerprints.same_names(before, now)):
            return True
    return False


def _compare_older(
    tree: PhotoTree, mission: Mission, rows_path: Path, done: RowIndex, found: Changes
) -> None:
    """Compare rows that hold no fingerprint with what lies there, row by row: they may be many."""
    for row in read_rows(rows_path):
        key = key_of(row)
        if done.inputs_hash(key) is not None or key in found.stale:
            continue
        try:
            group = tree.group(mission, label_of(row), str(row["group_id"]))
        except IntakeError:  # told as one whose folder is gone, or cannot be read
            continue
        if group is None or group.problem:
            continue
        if why := _difference(row, group):
            found.stale.add(key)
            found.done_anew[why] += 1
        else:
            done.renew(key, group.inputs)
            found.kept_as_is[OLDER] += 1


def _why(rows_path: Path, changed: Mapping[str, Group]) -> Iterator[str]:
    """Say of each group that has changed what is another."""
    for row in read_rows(rows_path):
        group = changed.get(key_of(row))
        if group is not None:
            yield _difference(row, group) or "photos replaced"


def _difference(row: Json, group: Group) -> str:
    """Say what lies in a group's folder otherwise than its row tells, by names alone."""
    if group.code == BAD_NAME:
        return "a name that is not UTF-8"
    before, now = set(list_of(row, "images")), {location_text(photo) for photo in group.photos}
    if now - before and before - now:
        return "photos added and removed"
    if now - before:
        return "photos added"
    if before - now:
        return "photos removed"
    if [asdict(file) for file in group.left_out] != list_of(meta_of(row), "left_out"):
        return "something else beside the photos"
    return ""
