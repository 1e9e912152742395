"""The command line: from words to a command and the value of its options.

Imports nothing heavy, and of all commands only the one that is named: `--help` answers at once.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise, takewhile
from typing import NamedTuple, NoReturn

from shenhe import __version__
from shenhe.cli.commands import COMMANDS, Command, load_command
from shenhe.cli.help_formatters import HelpFormatter, MainFormatter
from shenhe.cli.help_words import in_help, summary_in_help
from shenhe.cli.options import add_options, options_of, read_options
from shenhe.cli.swift_options import ELSEWHERE, in_own_words, judge
from shenhe.errors import ShenheError, closest
from shenhe.languages import LANGUAGES, Language, Words, language_of
from shenhe.options import option, option_class
from shenhe.printable import printable, worded


@option_class
class CommonOptions:
    """Options of every command, and of the command line before it.

    `lang` is read ahead of all others, by `language_on`: help and errors are in it too.
    """

    debug: bool = option("show the traceback of an error", default=False)
    lang: Language | None = option(
        "the language of help, messages and pages; default: that of LC_ALL, LC_MESSAGES or LANG",
        default=None,
    )


class CommandLine(NamedTuple):
    """A command line that was read: the command's name, what runs it, and the options.

    `ignored` are options that mean nothing here, of a command by ms-swift's name.
    """

    name: str
    run: Callable[[object], int]
    options: object
    debug: bool
    ignored: str


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line that says where the help is, whatever a value holds.

    It takes ms-swift's spellings: --max_new_tokens, and a switch with true or false behind it.
    """

    _words: Sequence[str] = ()

    def parse_known_args(  # type: ignore[override]  # the namespace is always argparse's own
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse words in either spelling."""
        words = normalize(args or (), self._switches())
        self._words = words
        if self._subparsers is not None:  # the words of a command are the command's
            self._words = words[: _place_of_command(words)]
        return super().parse_known_args(words, namespace)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and exit 2."""
        words = takewhile(lambda word: word != "--", self._words)
        # To argparse a word with a space is a value: it may be a text, or a password.
        names = dict.fromkeys(word.partition("=")[0] for word in words if " " not in word)
        hints = [f"{name}{self.suggestion(name)}" for name in names if self.suggestion(name)]
        message = "; ".join([message, *(hint for hint in hints if hint not in message)])
        message = " ".join(printable(message).split())
        message = worded(message)
        line = Words(
            f"{self.prog}：{message}（见 {self.prog} --help）",
            f"{self.prog}: {message} (see {self.prog} --help)",
        )
        self.exit(2, line.told() + "\n")

    def suggestion(self, name: str) -> str:
        """Name the option that an unknown one may be meant for; empty where none is like it."""
        if not name.startswith("--") or name in self._option_string_actions:
            return ""
        flags = {flag[2:]: flag for flag in self._option_string_actions if flag.startswith("--")}
        match = closest(name[2:], flags)
        return "" if match is None else f" (did you mean {flags[match]}?)"

    def _switches(self) -> set[str]:
        switches = argparse.BooleanOptionalAction
        actions = (action for action in self._actions if isinstance(action, switches))
        names = (name for action in actions for name in action.option_strings)
        return {name for name in names if not name.startswith("--no-")}

    def _check_value(self, action: argparse.Action, value: object) -> None:
        """Refuse a word that is no choice, and name the choice that it may be meant for."""
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            match = closest(str(value), map(str, action.choices or ()))
            if match is not None:
                meant = f", did you mean {match!r}? (choose"
                error.message = error.message.replace(" (choose", meant, 1)
            raise

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> object:
        """Read the values of an option; of `--option=--` argparse makes an empty list."""
        if action.option_strings and arg_strings == ["--"]:
            raise argparse.ArgumentError(action, "expected one argument")
        return super()._get_values(action, arg_strings)

    def _get_value(self, action: argparse.Action, arg_string: str) -> object:
        """Read a value; an error that its reader does not foresee reads as those it does."""
        if isinstance(action, argparse._SubParsersAction):  # the words of a command, read by it
            return arg_string
        try:
            return super()._get_value(action, arg_string)
        except (ShenheError, ArithmeticError, LookupError, OSError) as error:
            raise argparse.ArgumentError(action, str(error)) from error


def parse(words: Sequence[str]) -> CommandLine:
    """Read a command line, or exit: 0 after --help, 2 with a line that says what is wrong."""
    parser = build_parser(next((word for word in words if word in COMMANDS), ""))
    words = _in_own_words(words, parser)
    namespace, unknown = parser.parse_known_args(words)
    taken = vars(namespace)
    name = " ".join(filter(None, (taken["command"], taken.get("kind_of_command"))))
    loaded, command_parser = load_command(name), parsers_of(parser)[name]
    ignored = ""
    if unknown:
        names = list(_without_values(unknown))
        # What stands before a command is the command line's own, whoever the command is for.
        if COMMANDS[name].is_swift and not any(word in parser._words for word in unknown):
            beside = {word.partition("=")[0].replace("_", "-") for word in words}
            judged = judge(unknown, name, beside)
            if judged.refusal:
                command_parser.error(judged.refusal)
            names, ignored = judged.unknown, " ".join(judged.ignored)
        if names:
            hints = " ".join(f"{name}{command_parser.suggestion(name)}" for name in names)
            parser.error(f"unrecognized arguments: {hints}")
    options = read_options(loaded.options, namespace)
    debug = read_options(CommonOptions, namespace).debug
    return CommandLine(name, loaded.run, options, debug, ignored)


def language_on(words: Sequence[str]) -> Language | None:
    """Find the language that a command line asks for, else that of the environment.

    >>> language_on(["--lang", "en", "run", "--lang=zh"])
    'zh'
    """
    language: Language | None = None
    for word, following in pairwise([*takewhile(lambda word: word != "--", words), ""]):
        name, equals, value = word.partition("=")
        if name == "--lang":
            chosen = value if equals else following
            language = next((each for each in LANGUAGES if each == chosen), language)
    return language or language_of()


def _place_of_command(words: Sequence[str]) -> int:
    """Count the words before the command: options, and the value of --lang."""
    at = 0
    while at < len(words) and words[at].startswith("-"):
        at += 2 if words[at] == "--lang" else 1
    return min(at, len(words))


def _in_own_words(words: Sequence[str], parser: Parser) -> Sequence[str]:
    """Write the words of a command of ms-swift by the names of its options here.

    A command that there is none of here ends in a line that says what does its work.
    """
    at = _place_of_command(words)
    command = words[at] if at < len(words) else ""
    if remedy := ELSEWHERE.get(command.replace("_", "-")):
        parser.error(f"{command} is a command of ms-swift, and none here: {remedy}")
    if command not in COMMANDS or not COMMANDS[command].is_swift:
        return words
    flags = parsers_of(parser)[command]._option_string_actions
    return [*words[: at + 1], *in_own_words(words[at + 1 :], command, flags)]


def build_parser(only: str | None = None) -> Parser:
    """Build the parser of all commands; with `only`, others than that one have no options."""
    parser = Parser(
        prog="shenhe",
        description="审核: reviews site-inspection photos with fine-tuned Qwen3-VL models.",
        epilog="Exit codes: 0 all done; 1 done, but some items failed or are undecided;"
        " 2 could not run; 130 interrupted: the same command goes on from there.",
        formatter_class=MainFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"shenhe {__version__}")
    add_options(parser, CommonOptions)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    parents = {"": commands}
    for name, command in COMMANDS.items():
        parent, _, word = name.rpartition(" ")
        child = _add_command(parents[parent], word, command)
        if not command.file:
            parents[name] = child.add_subparsers(
                dest="kind_of_command", metavar="KIND", required=True
            )
        if only not in (None, name.split()[0]):
            continue
        add_options(child, CommonOptions, repeated=True)
        if command.file:
            kind = load_command(name).options
            add_options(child, kind)
            child.usage = _usage(child.prog, kind)
    return parser


def parsers_of(parser: Parser, name: str = "") -> dict[str, Parser]:
    """Find the parsers of all commands, by name."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return {
                path: command
                for word, child in action.choices.items()
                for path, command in parsers_of(child, f"{name} {word}".strip()).items()
            }
    return {name: parser}


def _add_command(
    commands: argparse._SubParsersAction[Parser], name: str, command: Command
) -> Parser:
    return commands.add_parser(
        name,
        help=summary_in_help(command.summary, command.description),
        description=command.description,
        epilog=f"{in_help('Example:  ')}{command.example}",
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )


def _usage(prog: str, kind: type[object]) -> str:
    """Write what a command needs; all else is [options]."""
    parts = [prog]
    for declared in options_of(kind):
        if declared.is_required:
            value = f"{declared.metavar}{'...' if declared.takes_many else ''}"
            parts.append(" ".join([*declared.flags[:1], value]))
    return " ".join([*parts, in_help("[options]")]).replace("%", "%%")


def normalize(words: Iterable[str], switches: set[str]) -> list[str]:
    """Write words of ms-swift's spelling in this command line's own.

    >>> normalize(["--dry_run", "false", "--max_new_tokens=8"], {"--dry-run"})
    ['--no-dry-run', '--max-new-tokens=8']
    """
    result: list[str] = []
    unread = iter(words)
    for word in unread:
        if word == "--":
            return [*result, word, *unread]
        # Also the value of the word before may look like this: only switches take it away.
        if word.lower() in ("true", "false") and result and result[-1] in switches:
            if word.lower() == "false":
                result[-1] = f"--no-{result[-1][2:]}"
            continue
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            name = name.replace("_", "-")
            if name in switches and value.lower() in ("true", "false"):
                word = name if value.lower() == "true" else f"--no-{name[2:]}"
            else:
                word = name + equals + value
        result.append(word)
    return result


def _without_values(words: Sequence[str]) -> Iterator[str]:
    """Give options by their names alone: a value may be a token, or a password."""
    is_value = False
    for word in words:
        if word.startswith("--") or (len(word) == 2 and word[0] == "-"):
            name, equals, _ = word.partition("=")
            is_value = not equals
            yield name
        elif not is_value:
            yield word
