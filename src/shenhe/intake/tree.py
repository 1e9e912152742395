"""The photo tree -> groups: data_root/<mission>/{审核通过|审核不通过}/<group_id>/<photo>."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TypeVar

from shenhe.config import Mission, Missions
from shenhe.config.label_folders import fold_name
from shenhe.config.missions import normalize_name
from shenhe.errors import IntakeError, spelled
from shenhe.intake import hints
from shenhe.intake.label_folder import LabelFolder, WalkNotes, is_visible_folder, scan
from shenhe.intake.layout import TreeLayout
from shenhe.intake.ordering import sort_naturally
from shenhe.intake.prefetch import prefetch
from shenhe.intake.spelling import escape_name, has_outer_space, unescape_name
from shenhe.locations import Location, is_folder
from shenhe.values import Group, Label, group_key

LISTING_THREADS = 16
"""Threads that list groups' folders in an object store, where each listing is a request."""
Item = TypeVar("Item")


class GroupId(NamedTuple):
    """The label and the id of a group of one mission."""

    label: Label | None
    group_id: str

    @classmethod
    def of_key(cls, key: str) -> GroupId:
        """Read the key of a group: see `values.group_key`."""
        _, word, group_id = key.split("\x1f", 2)
        return cls("pass" if word == "pass" else "fail" if word == "fail" else None, group_id)


def take_turns(streams: Iterable[Iterator[Item]]) -> Iterator[Item]:
    """Yield one item of each stream in turn, until all are empty.

    >>> list(take_turns([iter("aaa"), iter("b"), iter("cc")]))
    ['a', 'b', 'c', 'a', 'c', 'a']
    """
    waiting = list(streams)
    while waiting:
        for stream in list(waiting):
            try:
                yield next(stream)
            except StopIteration:
                waiting.remove(stream)


class PhotoTree:
    """The photo tree below a folder. Entries that are no photos are passed over and counted.

    tree = PhotoTree(Path("site-photos"))
    for mission in tree.missions(load_missions()):
        groups = list(tree.groups(mission))
    """

    def __init__(self, data_root: Location, layout: TreeLayout | None = None) -> None:
        """Open a tree, in the usual layout or another.

        Raises: IntakeError if the folder is missing or cannot be listed.
        """
        self.data_root, self.layout = data_root, layout or TreeLayout()
        try:
            if not is_folder(data_root):
                raise IntakeError(f"{spelled('data_root', data_root)}: no such folder")
        except OSError as error:
            raise IntakeError(f"{spelled('data_root', data_root)}: {error.strerror}") from error
        self._missions: dict[str, list[str]] = {}
        self._label_folders: dict[str, tuple[list[LabelFolder], list[str]]] = {}
        folders = (entry.name for entry in scan(data_root) if is_visible_folder(entry))
        for name in sort_naturally(folders):
            self._missions.setdefault(normalize_name(name), []).append(name)

    def missions(self, configured: Missions) -> list[Mission]:
        """List the missions that the tree has a folder for, in their configured order."""
        return [mission for mission in configured if normalize_name(mission.name) in self._missions]

    def unknown_folders(self, configured: Missions) -> list[str]:
        """List the folders that belong to no configured mission."""
        names = {normalize_name(mission.name) for mission in configured}
        return [
            folder
            for name, folders in self._missions.items()
            if name not in names
            for folder in folders
        ]

    def misspelled_folders(self, configured: Missions) -> dict[str, str]:
        """Map the unknown folders that are probably misspelled missions to a hint each."""
        names = [mission.name for mission in configured]
        return hints.describe_unknown_folders(self.unknown_folders(configured), names)

    def no_mission_error(self, configured: Missions) -> IntakeError:
        """Make the error of a tree without a mission's folder, with what was probably meant."""
        names = [mission.name for mission in configured]
        hint = hints.suggest_data_root(self.data_root, names) or f"known: {', '.join(names)}"
        return IntakeError(f"{spelled('data_root', self.data_root)}: no mission's folder; {hint}")

    def count_groups(self, mission: Mission) -> int:
        """Count the groups of a mission without listing their photos.

        Raises: IntakeError, see `groups`.
        """
        return sum(1 for _ in self.group_ids(mission))

    def group_ids(self, mission: Mission) -> Iterator[GroupId]:
        """Yield the labels and ids of the groups of a mission, in no order.

        Raises: IntakeError, see `groups`.
        """
        notes = WalkNotes()
        for label_folder in self._list_label_folders(mission, notes):
            for name in label_folder.group_names(notes):
                yield GroupId(label_folder.label, escape_name(name))

    def groups(
        self,
        mission: Mission,
        passed_over: Counter[str] | None = None,
        skip: Container[str] = frozenset(),
        faults: list[str] | None = None,
        *,
        by_turns: bool = False,
        unlisted: list[str] | None = None,
    ) -> Iterator[Group]:
        """Yield the groups of a mission: passed, failed, then unlabelled, each in natural order.

        With `by_turns` a passed, a failed and an unlabelled one take turns, while there are any.
        Names of groups are sorted in bounded memory; photos are listed group by group, and not at
        all for groups whose key is in `skip`. Entries passed over are counted in `passed_over`,
        folders that are not read are added to `faults`, those that cannot be listed to `unlisted`.
        Raises: IntakeError if the tree has no folder for the mission, or two.
        """
        notes = WalkNotes(
            Counter() if passed_over is None else passed_over,
            [] if faults is None else faults,
            [] if unlisted is None else unlisted,
        )
        by_label: dict[Label | None, list[Iterator[Group]]] = {}
        for label_folder in self._list_label_folders(mission, notes):
            groups = self._groups_of(label_folder, mission, notes, skip)
            by_label.setdefault(label_folder.label, []).append(groups)
        labels = [chain.from_iterable(groups) for groups in by_label.values()]
        yield from take_turns(labels) if by_turns else chain.from_iterable(labels)

    def lost_groups(self, mission: Mission) -> Iterator[Group]:
        """Yield the groups whose folders are links that lead nowhere: a run takes them for files.

        Raises: IntakeError, see `groups`.
        """
        for label_folder in self._list_label_folders(mission, WalkNotes()):
            yield from label_folder.lost_groups(mission)

    def _groups_of(
        self, label_folder: LabelFolder, mission: Mission, notes: WalkNotes, skip: Container[str]
    ) -> Iterator[Group]:
        """Yield the groups of one folder in natural order."""
        names = (
            name
            for name in sort_naturally(label_folder.group_names(notes))
            if group_key(mission.name, label_folder.label, escape_name(name)) not in skip
        )
        list_group = partial(label_folder.list_group, mission)
        on_disk = isinstance(self.data_root, Path)
        listings = (
            map(list_group, names) if on_disk else prefetch(list_group, names, LISTING_THREADS)
        )
        for group, group_passed_over in listings:
            notes.passed_over.update(group_passed_over)
            if group.left_out:
                notes.passed_over["left_out"] += len(group.left_out)
            yield group

    def group(self, mission: Mission, label: Label | None, group_id: str) -> Group | None:
        """List one group; None if it has no folder.

        Raises: IntakeError if the folders cannot be listed.
        """
        label_folder = self._label_folder(mission, label, group_id)
        if label_folder is None:
            return None
        return label_folder.list_group(mission, unescape_name(group_id)).group

    def has_group(self, mission: Mission, label: Label | None, group_id: str) -> bool:
        """Whether a group has a folder.

        Raises: IntakeError if the folders cannot be listed.
        """
        return self._label_folder(mission, label, group_id) is not None

    def _label_folder(
        self, mission: Mission, label: Label | None, group_id: str
    ) -> LabelFolder | None:
        name = unescape_name(group_id)
        folders = self._list_label_folders(mission, WalkNotes())
        same_label = (folder for folder in folders if folder.label == label)
        return next((folder for folder in same_label if folder.has_group(name)), None)

    def _list_label_folders(self, mission: Mission, notes: WalkNotes) -> list[LabelFolder]:
        """List the folders that hold groups, labels first; they are searched once per mission."""
        if mission.name not in self._label_folders:
            search = WalkNotes()
            folders = list(self._find_label_folders(mission, search))
            self._label_folders[mission.name] = folders, search.faults
        folders, faults = self._label_folders[mission.name]
        for fault in faults:
            notes.add_fault(fault)
        return folders

    def _find_label_folders(self, mission: Mission, notes: WalkNotes) -> Iterator[LabelFolder]:
        folder, known = self._mission_folder(mission, notes), self.layout.label_folders
        spellings: dict[str, list[str]] = {}
        for entry in scan(folder):
            if is_visible_folder(entry) and entry.name in known:
                spellings.setdefault(fold_name(entry.name), []).append(entry.name)
        same_label: dict[Label | None, list[LabelFolder]] = {"pass": [], "fail": [], None: []}
        for folded, names in sorted(spellings.items()):
            if len(names) > 1:
                alike = hints.join_alike(sorted(names))
                raise IntakeError(f"{folder}: {alike} are the same label: merge them")
            (name,) = names
            if has_outer_space(name):
                notes.add_fault(hints.describe_outer_space(folder, name, folded))
            label = known.label_of(name)
            same = same_label[label]
            same.append(LabelFolder(folder / name, label, self.layout, same_label=same))
        unlabelled = same_label[None]
        unlabelled.append(
            LabelFolder(folder, None, self.layout, is_mission=True, same_label=unlabelled)
        )
        yield from chain.from_iterable(same_label.values())

    def _mission_folder(self, mission: Mission, notes: WalkNotes) -> Location:
        names = self._missions.get(normalize_name(mission.name), [])
        if len(names) > 1:
            alike = hints.join_alike(names)
            raise IntakeError(f"{self.data_root}: {alike} are the same mission: merge them")
        if not names:
            folders = [name for names in self._missions.values() for name in names]
            hint = hints.suggest_mission_folder(self.data_root, folders, mission.name)
            raise IntakeError(f"{self.data_root}: no folder for mission {mission.name!r}; {hint}")
        if has_outer_space(names[0]):
            notes.add_fault(hints.describe_outer_space(self.data_root, names[0], mission.name))
        return self.data_root / names[0]
