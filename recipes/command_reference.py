"""The pages of all commands and options, docs/commands.md and its Chinese twin.

    python -m recipes.command_reference

They are written from the declarations of the options. The Chinese texts are those of the help,
src/shenhe/cli/help.zh.toml: an English text that was changed has no Chinese one until somebody
writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from shenhe.cli.command_line import CommonOptions, build_parser, parsers_of
from shenhe.cli.commands import COMMANDS, load_command
from shenhe.cli.help_words import chinese_help
from shenhe.cli.options import Option, options_of

DOCS = Path(__file__).parent.parent / "docs"
SHARED = "run"
"""The command whose sections stand for those of all commands."""
Translate = Callable[[str], str]


def page(translate: Translate, link: str) -> str:
    """Write the page of all commands, its texts translated, with a link to its twin."""
    shared = _sections(SHARED)
    lines = [f"# {translate('Commands')}", "", link, "", translate(INTRODUCTION), ""]
    lines += _table(options_of(CommonOptions), translate)
    usages = {name: parser.format_usage() for name, parser in parsers_of(build_parser()).items()}
    for name, command in COMMANDS.items():
        if not command.file:
            continue
        usage = usages[name].removeprefix("usage: ").strip()
        lines += ["", f"## shenhe {name}", "", translate(command.description), ""]
        lines += ["```bash", usage, "# " + translate("for example"), command.example, "```", ""]
        sections = _sections(name)
        lines += _table(_own(sections, shared), translate)
        if titles := [title for title in sections if title in shared and title]:
            names = ", ".join(f"*{translate(title)}*" for title in titles)
            lines += ["", f"{translate('Besides the options of the sections below:')} {names}."]
    for title, options in shared.items():
        if title:
            lines += ["", f"## {translate('Section:')} {translate(title)}", ""]
            if description := options[0].section.description:
                lines += [f"{translate(description)}.", ""]
            lines += _table(options, translate)
    return "\n".join(lines) + "\n"


INTRODUCTION = (
    "This page is written by `python -m recipes.command_reference` from the declarations of the"
    " options, and a test compares it. Every option may be written with underscores too, as"
    " `--max_new_tokens`; a switch takes `--no-` before its name, or `true` or `false` behind it."
    " Before or behind every command stands:"
)


def _sections(name: str) -> dict[str, list[Option]]:
    sections: dict[str, list[Option]] = {}
    for option in options_of(load_command(name).options):
        sections.setdefault(option.section.title, []).append(option)
    return sections


def _own(sections: dict[str, list[Option]], shared: dict[str, list[Option]]) -> list[Option]:
    """Find the options of a command that no shared section has in the same way."""
    return [
        option
        for title, options in sections.items()
        for option in options
        if not title or option not in shared.get(title, [])
    ]


def _table(options: Sequence[Option], translate: Translate) -> list[str]:
    if not options:
        return [translate("It has no options of its own.")]
    head = [translate(text) for text in ("option", "default", "meaning")]
    rows = (
        [_names(option), _default(option, translate), _meaning(option, translate)]
        for option in options
    )
    return [_row(head), "|---|---|---|", *map(_row, rows)]


def _row(cells: list[str]) -> str:
    escaped = (cell.replace("|", r"\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"


def _names(option: Option) -> str:
    value = option.declaration.metavar or ("NAME" if option.choices else "")
    value += "..." if option.takes_many else ""
    if not option.flags:
        return f"`{(option.declaration.metavar and value) or option.name}`"
    flags = option.flags if option.is_switch else [f"{flag} {value}" for flag in option.flags]
    return ", ".join(f"`{flag}`" for flag in flags)


def _default(option: Option, translate: Translate) -> str:
    if option.is_required:
        return translate("required")
    default = option.spelled_default
    if option.is_switch:
        return translate("on" if default else "off")
    return "" if default in (None, []) else f"`{default}`"


def _meaning(option: Option, translate: Translate) -> str:
    text = translate(option.declaration.help).replace("<", r"\<")
    if not option.choices:
        return text
    words = ", ".join(f"`{word}`" for word in option.choices)
    return f"{text} ({words})"


def pages() -> dict[Path, str]:
    """Write the text of both pages.

    Raises: KeyError for an English text without a Chinese one.
    """
    return {
        DOCS / "commands.md": page(lambda text: text, "[中文](zh/commands.md)"),
        DOCS / "zh" / "commands.md": page(chinese_help().__getitem__, "[English](../commands.md)"),
    }


def main() -> None:
    """Write both pages to disk."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
