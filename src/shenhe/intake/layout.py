"""How a photo tree is laid out, where it differs from the usual layout."""

from __future__ import annotations

from dataclasses import dataclass, field

from shenhe.config import LabelFolders
from shenhe.errors import ConfigError
from shenhe.intake.name_pattern import GroupPattern
from shenhe.intake.spelling import guess_label


@dataclass(frozen=True, slots=True)
class TreeLayout:
    """The names of label folders, and the pattern of ids in names of photos, None without one.

    >>> TreeLayout().decisive_options
    {}
    """

    label_folders: LabelFolders = field(default_factory=LabelFolders)
    group_pattern: GroupPattern | None = None

    def __post_init__(self) -> None:
        """Refuse a name that says the contrary of its label.

        Raises: ConfigError.
        """
        for name, label in self.label_folders.added.items():
            guess = guess_label(name)
            if guess and label is not None and self.label_folders.label_of(guess) != label:
                raise ConfigError(f"label folder {name!r} is listed as {label}, but says {guess}")

    @property
    def decisive_options(self) -> dict[str, object]:
        """The options that decide which groups there are; those by default are left out."""
        options: dict[str, object] = {}
        if added := self.label_folders.added:
            options["label_folders"] = added
        if self.group_pattern is not None:
            options["group_pattern"] = self.group_pattern.text
        return options
