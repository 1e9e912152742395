"""Label folders: the built-in names, and those that a file of yours adds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from pydantic import Field

from shenhe.config.missions import normalize_name
from shenhe.config.toml_file import Strict, read_toml
from shenhe.errors import ConfigError
from shenhe.values import Label

LABELS: Final[Mapping[str, Label]] = MappingProxyType({"审核通过": "pass", "审核不通过": "fail"})
"""The built-in names of label folders."""
_BUILT_IN: Final[Mapping[str, Label | None]] = MappingProxyType(dict(LABELS))


class LabelFoldersFile(Strict):
    """A file of further names of label folders."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    passed: tuple[str, ...] = Field(default=(), alias="pass")
    fail: tuple[str, ...] = ()
    unlabelled: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LabelFolders:
    """The label of each label folder by its folded name; None for folders of unlabelled groups.

    >>> LabelFolders().label_of("审核不通过 ")
    'fail'
    >>> "QC-1" in LabelFolders()
    False
    """

    labels: Mapping[str, Label | None] = field(default_factory=lambda: _BUILT_IN)

    def __contains__(self, name: str) -> bool:
        return fold_name(name) in self.labels

    def label_of(self, name: str) -> Label | None:
        """Give the label of a label folder."""
        return self.labels[fold_name(name)]

    @property
    def added(self) -> dict[str, Label | None]:
        """The names beside the built-in ones, as manifests hold them."""
        return {name: self.labels[name] for name in sorted(self.labels.keys() - LABELS.keys())}


def fold_name(name: str) -> str:
    """Fold the name of a label folder: width, outer white space and case do not count."""
    return normalize_name(name).casefold()


def load_label_folders(extra: Path | None = None) -> LabelFolders:
    """Load the built-in names of label folders, and those of a user's file.

    Raises: ConfigError for a malformed file, or a name that stands under two labels.

        >>> load_label_folders().label_of("审核通过")
        'pass'
    """
    if extra is None:
        return LabelFolders()
    read = read_toml(extra, LabelFoldersFile)
    labels = dict(_BUILT_IN)
    listed: tuple[tuple[Label | None, tuple[str, ...]], ...] = (
        ("pass", read.passed),
        ("fail", read.fail),
        (None, read.unlabelled),
    )
    for label, names in listed:
        for name in names:
            folded = fold_name(name)
            if not folded or "/" in folded or folded.startswith("."):
                raise ConfigError(f"{extra}: {name!r} is no folder's name that is looked at")
            if labels.setdefault(folded, label) != label:
                both = " and ".join(word or "unlabelled" for word in (labels[folded], label))
                raise ConfigError(f"{extra}: {name!r} stands for {both}")
    return LabelFolders(MappingProxyType(labels))
