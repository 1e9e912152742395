"""How help looks: in the language that is spoken, in lines as wide as a terminal shows them."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from typing import Final

from shenhe.cli.help_words import in_help, wrapped
from shenhe.languages import current_language

_HIDDEN_DEFAULTS: Final = (None, "", argparse.SUPPRESS)


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Writes help in the language that is spoken, with the defaults of options that have one.

    Examples stay in one piece.
    """

    def add_usage(
        self,
        usage: str | None,
        actions: Iterable[argparse.Action],
        groups: Iterable[argparse._MutuallyExclusiveGroup],
        prefix: str | None = None,
    ) -> None:
        """Add the usage, behind the word for it."""
        super().add_usage(usage, actions, groups, in_help("usage: ") if prefix is None else prefix)

    def start_section(self, heading: str | None) -> None:
        """Begin a section of options."""
        super().start_section(heading and in_help(heading))

    def add_text(self, text: str | None) -> None:
        """Add a description, or the example."""
        super().add_text(text and in_help(text))

    def format_help(self) -> str:
        """Write all of it; the colons of Chinese headings are wide too."""
        text = super().format_help()
        if current_language() != "zh":
            return text
        return re.sub(r"^([^\s(]+):$", "\\1：", text, flags=re.MULTILINE)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help and in_help(action.help)
        is_hidden = action.default in _HIDDEN_DEFAULTS or action.default is False
        if is_hidden or action.default == [] or not action.option_strings:
            return text
        default = in_help("(default: %(default)s)")
        return f"{text}{default}" if default.startswith("（") else f"{text} {default}"

    def _split_lines(self, text: str, width: int) -> list[str]:
        return wrapped(" ".join(text.split()), width)


class MainFormatter(HelpFormatter):
    """The formatter of the help above all commands, whose texts are broken into lines."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines = wrapped(" ".join(text.split()), width - len(indent))
        return "\n".join(indent + line for line in lines)
