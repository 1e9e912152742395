"""Which photos were used before: the same file, or one that looks nearly the same.

A register takes some 30 bytes of memory a photo; what groups are called lies on disk.
"""

from __future__ import annotations

import os
import tempfile
from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json, to_json

from shenhe.messages import PhotoFacts
from shenhe.photos.near_duplicates import NEAR, HashIndex, count_bits
from shenhe.values import ReusedPhoto, photo_key

MAX_USES: Final = 5
"""Uses of one photo that are named."""
MAX_LOOKED_AT: Final = 500
"""Uses of one photo that are looked at: it may stand in the same group many times."""


class PhotoOwner(NamedTuple):
    """A group that has photos, of this run (`run` is empty) or of an earlier one."""

    run: str
    mission: str
    label: str
    group_id: str


class PhotoRegister:
    """The photos of many groups, to be looked through for those that were used twice.

    with closing(PhotoRegister()) as register:
        register.add(PhotoOwner("", "挡风板安装检查", "pass", "QC-1"), [facts])
        index = register.finish()
    """

    def __init__(self) -> None:
        self._owners = tempfile.TemporaryFile()  # noqa: SIM115 - the index reads it
        self._ends = array("Q", [0])
        self._contents, self._looks = array("Q"), array("Q")
        self._owner_of, self._has_look = array("I"), array("B")
        self.without_facts = 0
        """Photos of which nothing is known: they are not compared."""

    def close(self) -> None:
        """Close the file of groups, with which the index cannot go on."""
        self._owners.close()

    def add(self, owner: PhotoOwner, photos: Sequence[PhotoFacts | None]) -> None:
        """Add a group with the facts of its photos."""
        line = to_json(owner)
        self._owners.write(line)
        number = len(self._ends) - 1
        self._ends.append(self._ends[-1] + len(line))
        for facts in photos:
            if facts is None or facts.content_hash is None:
                self.without_facts += 1
                continue
            self._contents.append(_number(facts.content_hash))
            self._looks.append(_number(facts.perceptual_hash or "0"))
            self._has_look.append(facts.perceptual_hash is not None)
            self._owner_of.append(number)

    def finish(self) -> ReuseIndex:
        """Sort the photos that are there; what is added later is in the next index."""
        self._owners.flush()
        contents, looks = (
            np.frombuffer(column, np.uint64) for column in (self._contents, self._looks)
        )
        owners = np.frombuffer(self._owner_of, np.uint32)
        has_look = np.frombuffer(self._has_look, np.bool_)
        return ReuseIndex(
            _Column.of(contents, owners),
            _Column.of(looks[has_look], owners[has_look]),
            self._owners.fileno(),
            self._ends,
            self.without_facts,
        )


class _Column(NamedTuple):
    """Values in ascending order, and the number of the group that has each."""

    values: NDArray[np.uint64]
    owners: NDArray[np.uint32]

    @classmethod
    def of(cls, values: NDArray[np.uint64], owners: NDArray[np.uint32]) -> _Column:
        order = np.argsort(values, kind="stable")
        return cls(values[order], owners[order])

    def owners_of(self, value: int) -> NDArray[np.uint32]:
        wanted = np.uint64(value)
        start, end = (np.searchsorted(self.values, wanted, side) for side in ("left", "right"))
        return self.owners[start:end]


class PhotoUses(ABC):
    """Finds the groups that use a photo, or one that looks nearly the same."""

    def find(
        self, owner: PhotoOwner, photos: Sequence[PhotoFacts | None], limit: int = MAX_USES
    ) -> list[ReusedPhoto]:
        """List the uses of a group's photos elsewhere, those of another work order first.

        At most `limit` of each photo are listed.

        The same work order in another mission, under another label or in an earlier run is no
        other order; its uses are told all the same.
        """
        found = []
        for index, facts in enumerate(photos):
            uses = self._uses(owner, photo_key(index), facts) if facts else ()
            found += sorted(uses, key=lambda use: (use.same_order, not use.same_content))[:limit]
        return found

    def _uses(self, owner: PhotoOwner, key: str, facts: PhotoFacts) -> Iterator[ReusedPhoto]:
        if facts.content_hash is None:
            return
        seen = {owner}
        for number, same_content in islice(self._owners_of(facts), MAX_LOOKED_AT):
            other = self._owner(number)
            if other in seen:
                continue
            seen.add(other)
            yield ReusedPhoto(
                key,
                other.group_id,
                other.mission,
                other.run,
                same_content=same_content,
                same_order=other.group_id == owner.group_id,
            )

    @abstractmethod
    def _owners_of(self, facts: PhotoFacts) -> Iterator[tuple[int, bool]]:
        """Yield numbers of groups that have the photo, each once, then of those with a near one."""

    @abstractmethod
    def _owner(self, number: int) -> PhotoOwner:
        """Give the group of a number."""


class ReuseIndex(PhotoUses):
    """Finds the uses of photos among those that a register had when it was finished."""

    def __init__(
        self,
        contents: _Column,
        looks: _Column,
        owners_file: int,
        ends: Sequence[int],
        without_facts: int,
    ) -> None:
        self.without_facts = without_facts
        self._contents, self._looks = contents, looks
        self._owners_file, self._ends = owners_file, ends
        self._near = HashIndex(np.unique(looks.values))

    def _owners_of(self, facts: PhotoFacts) -> Iterator[tuple[int, bool]]:
        assert facts.content_hash is not None
        for number in np.unique(self._contents.owners_of(_number(facts.content_hash))):
            yield int(number), True
        if facts.perceptual_hash is None:
            return
        for position in self._near.find(_number(facts.perceptual_hash), NEAR):
            for number in np.unique(self._looks.owners_of(int(self._near.hashes[position]))):
                yield int(number), False

    def _owner(self, number: int) -> PhotoOwner:
        start, end = self._ends[number], self._ends[number + 1]
        return PhotoOwner(*from_json(os.pread(self._owners_file, end - start, start)))


class RecentPhotos(PhotoUses):
    """The photos of a few thousand groups, to which others come; each search looks at all.

    >>> photos = RecentPhotos()
    >>> photos.add(PhotoOwner("", "挡风板安装检查", "", "QC-1"), [PhotoFacts(content_hash="ab")])
    >>> owner = PhotoOwner("", "挡风板安装检查", "", "QC-2")
    >>> [use.group_id for use in photos.find(owner, [PhotoFacts(content_hash="ab")])]
    ['QC-1']
    """

    def __init__(self) -> None:
        self.groups: list[tuple[PhotoOwner, Sequence[PhotoFacts | None]]] = []
        self._contents: dict[int, list[int]] = {}
        self._looks, self._owner_of = array("Q"), array("I")

    def __len__(self) -> int:
        """Number of photos that can be compared by their looks."""
        return len(self._looks)

    def add(self, owner: PhotoOwner, photos: Sequence[PhotoFacts | None]) -> None:
        """Add a group with the facts of its photos."""
        number = len(self.groups)
        self.groups.append((owner, photos))
        for facts in photos:
            if facts is None or facts.content_hash is None:
                continue
            self._contents.setdefault(_number(facts.content_hash), []).append(number)
            if facts.perceptual_hash is not None:
                self._looks.append(_number(facts.perceptual_hash))
                self._owner_of.append(number)

    def _owners_of(self, facts: PhotoFacts) -> Iterator[tuple[int, bool]]:
        assert facts.content_hash is not None
        for number in dict.fromkeys(self._contents.get(_number(facts.content_hash), ())):
            yield number, True
        if facts.perceptual_hash is None:
            return
        looks = np.array(self._looks, np.uint64)  # a view would keep others from coming
        differing = looks ^ np.uint64(_number(facts.perceptual_hash))
        for position in np.flatnonzero(count_bits(differing) <= NEAR):
            yield self._owner_of[int(position)], False

    def _owner(self, number: int) -> PhotoOwner:
        return self.groups[number][0]


def _number(digits: str) -> int:
    """Read the first 64 bits of a hash."""
    return int(digits[:16], 16)
