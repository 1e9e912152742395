"""Groups that say the same twice: those that share a photo, or a site."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shenhe.errors import OptionError, UsageError, spelled
from shenhe.locations import Location, locate
from shenhe.promise.contents import find_equal
from shenhe.row_types import SummaryRow
from shenhe.rows.outcomes import verdicts_folder
from shenhe.rows.promise_fingerprints import options_of_output
from shenhe.rows.readers import read_summaries
from shenhe.rows.words import Words
from shenhe.shards import list_rows_files


@dataclass(frozen=True, slots=True)
class Clusters:
    """The cluster of each group by key, and what could not be compared, a sentence each."""

    of: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[Words, ...] = ()

    @property
    def largest(self) -> int:
        """The number of groups of the largest cluster."""
        return max(Counter(self.of.values()).values(), default=0)


def cluster_by_photos(run_dir: Path, keys: Collection[str]) -> Clusters:
    """Put those groups together that share a photo: of one path, or of equal contents.

    Raises: RunError if Stage-A rows cannot be read.
    """
    owners: dict[Path, list[str]] = defaultdict(list)
    links, compared = Links(), set()
    for row in read_stage_a(run_dir, keys):
        for image in row.images:
            photo = locate_whole(image)
            if photo is None:
                continue
            compared.add(row.key)
            if isinstance(photo, Path):
                owners[photo].append(row.key)
            else:
                links.tie(str(photo), row.key)
    unreadable: set[Path] = set()
    for path_owners in owners.values():
        links.unite(path_owners)
    for paths in find_equal(owners, unreadable):
        links.unite(key for path in paths for key in owners[path])
    notes = []
    if missing := len(keys) - len(compared):
        option = spelled("cluster", "FIELD")
        notes.append(
            Words(
                f"人工判不合格的组里有 {missing:,} 组没有照片记录，不知道是否与别的组共用照片："
                f"请写明什么把组连在一起：{option}",
                f"of {missing:,} failed groups no photos are on record: whether they share some"
                f" with others is unknown; name what ties groups together: {option}",
            )
        )
    if unreadable:
        notes.append(
            Words(
                f"有 {len(unreadable):,} 张照片在这里读不到，只按路径比对",
                f"{len(unreadable):,} photos cannot be read here: they were compared by path alone",
            )
        )
    return Clusters(links.roots(), tuple(notes))


def cluster_by_field(
    run_dir: Path, name: str, keys: Collection[str], values: Mapping[str, str], names: Iterable[str]
) -> Clusters:
    """Put those groups together whose rows have an equal value of a field.

    `values` are those that verdict rows have; Stage-A rows are asked for the others. `names` are
    the fields that verdict rows have.
    Raises: OptionError if rows of groups lack it; RunError if Stage-A rows cannot be read.
    """
    links, names = Links(), set(names)
    missing = set(keys) - values.keys()
    for key, value in values.items():
        links.tie(value, key)
    for row in read_stage_a(run_dir, missing) if missing else ():
        names.update(row.extra)
        if row.extra.get(name) not in (None, ""):
            links.tie(str(row.extra[name]), row.key)
            missing.discard(row.key)
    if missing:
        listed = ", ".join(sorted(names)) or "none"
        raise OptionError(
            "cluster",
            name,
            f"the rows of {len(missing):,} of {len(keys):,} failed groups have no such field;"
            f" fields beside shenhe's own: {listed}",
        )
    return Clusters(links.roots())


def read_stage_a(run_dir: Path, keys: Collection[str] | None = None) -> Iterator[SummaryRow]:
    """Yield the Stage-A rows of a run, or those of some groups; none if it has none.

    Raises: RunError if they cannot be read, or a manifest.
    """
    for path in _stage_a_files(run_dir):
        for row in read_summaries(path):
            if keys is None or row.key in keys:
                yield row


def _stage_a_files(run_dir: Path) -> list[Path]:
    """List the Stage-A rows files of a run, or those that its verdicts were made from."""
    if (run_dir / "stage_a").is_dir():
        return list_rows_files(run_dir / "stage_a")
    options = map(options_of_output, list_rows_files(verdicts_folder(run_dir)))
    named = {str(each.get("stage_a") or "") for each in options}
    return sorted(path for path in map(Path, named) if path.is_file())


def locate_whole(image: str) -> Location | None:
    """Give the location of a photo; None for a mere name, which many photos may have.

    >>> locate_whole("/data/1.jpg"), locate_whole("1.jpg")
    (PosixPath('/data/1.jpg'), None)
    """
    try:
        location = locate(image)
    except UsageError:
        return None
    return None if isinstance(location, Path) and not location.is_absolute() else location


class Links:
    """Keys that are tied together, directly or by others: a union-find.

    >>> links = Links()
    >>> links.unite(["a", "b"])
    >>> links.unite(["b", "c"])
    >>> set(links.roots().values())
    {'a'}
    """

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}
        self._first: dict[str, str] = {}

    def tie(self, token: str, key: str) -> None:
        """Tie a key to all others that have the same token."""
        self.unite((self._first.setdefault(token, key), key))

    def unite(self, keys: Iterable[str]) -> None:
        """Tie keys together."""
        root = ""
        for key in keys:
            root = root or self._root(key)
            self._parents[self._root(key)] = root

    def roots(self) -> dict[str, str]:
        """Give the cluster of each key, by the name of one of its keys."""
        return {key: self._root(key) for key in self._parents}

    def _root(self, key: str) -> str:
        path = []
        while (parent := self._parents.setdefault(key, key)) != key:
            path.append(key)
            key = parent
        for below in path:
            self._parents[below] = key
        return key
