"""Groups without a folder: photos side by side, whose names hold the ids of their groups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from shenhe.intake.folder import Contents, left_out_kind
from shenhe.intake.name_pattern import GroupPattern
from shenhe.intake.ordering import natural_key
from shenhe.intake.spelling import escape_name, is_system_name
from shenhe.locations import FolderEntry, Location
from shenhe.photos.kinds import is_photo
from shenhe.values import LeftOut


@dataclass(slots=True)
class LoosePhotos:
    """The photos directly in one folder by their groups; without a pattern there are none.

    One entry a photo is kept in memory, some 300 bytes.
    """

    folder: Location
    pattern: GroupPattern | None
    _groups: dict[str, Contents] = field(default_factory=dict)

    def __iter__(self) -> Iterator[str]:
        """Yield the ids of the groups."""
        return iter(self._groups)

    def add(self, entry: FolderEntry) -> bool:
        """Add a file to the group that its name tells; False for one that belongs to none."""
        if self.pattern is None or entry.is_folder or is_hidden(entry.name):
            return False
        group_id = self.pattern.group_of(entry.name)
        if not group_id:
            return False
        if is_photo(entry.name):
            self._groups.setdefault(group_id, Contents()).photos.append(entry)
        elif kind := left_out_kind(self.folder, entry):
            file = LeftOut(path=escape_name(entry.name), kind=kind)
            self._groups.setdefault(group_id, Contents()).left_out.append(file)
        else:
            return False
        return True

    def add_all(self, entries: Iterable[FolderEntry]) -> LoosePhotos:
        """Add the files of a folder."""
        for entry in entries:
            self.add(entry)
        return self

    def find(self, group_id: str) -> Contents | None:
        """Find the photos of a group, in natural order; None for an id that no name holds."""
        contents = self._groups.get(group_id)
        if contents is not None:
            contents.photos.sort(key=lambda entry: natural_key(entry.name))
            contents.left_out.sort(key=lambda file: natural_key(file.path))
        return contents


def is_hidden(name: str) -> bool:
    """Whether people do not see an entry of this name, or did not put it there."""
    return name.startswith(".") or is_system_name(name)
