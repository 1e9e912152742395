"""The options of all commands: as recorded, as Python takes them, as the reference lists them."""

from __future__ import annotations

import argparse
import ast
import csv
import inspect
import pickle
import re
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from types import UnionType
from typing import Annotated, Literal, Union, get_args, get_origin, get_type_hints

import pytest

import shenhe
from recipes.command_reference import DOCS, pages
from shenhe.cli.command_line import CommonOptions, build_parser, parse, parsers_of
from shenhe.cli.commands import COMMANDS, load_command
from shenhe.cli.demo import DemoOptions
from shenhe.cli.flags import on_the_command_line
from shenhe.cli.loading import ConfigOptions, LoadOptions
from shenhe.cli.options import add_options, options_of, read_options
from shenhe.cli.run import RunCommandOptions
from shenhe.engines.options import LocalOptions, ModelOptions, ServerOptions, VllmOptions
from shenhe.errors import OptionError, in_python, spelled, spelling
from shenhe.options import Count, option, option_class, section

RECORDED = Path(__file__).parent / "recorded_options.tsv"
"""Command, option, default, choices, required: of 0.1.0, before options were classes."""


def _row(command: str, action: argparse.Action) -> dict[str, str]:
    # A default that is suppressed is that of the option before the command.
    is_repeated = action.default is argparse.SUPPRESS
    default = getattr(CommonOptions(), action.dest) if is_repeated else action.default
    return {
        "command": command,
        "option": " ".join(action.option_strings) or action.dest,
        "default": repr(default),
        "choices": repr(list(action.choices)) if action.choices else "",
        "required": "required" if action.required else "",
    }


def test_options_are_those_recorded() -> None:
    with RECORDED.open(encoding="utf-8", newline="") as file:
        recorded = [
            {name: value or "" for name, value in row.items()}
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        ]
    commands = parsers_of(build_parser())
    rows = [
        _row(command, action)
        for command, parser in commands.items()
        for action in parser._actions
        if not isinstance(action, argparse._HelpAction)
    ]
    # `evaluate` has no options of its own but the common ones.
    assert rows == [row for row in recorded if row["command"] != "evaluate"]


def test_load_takes_the_options_of_the_classes() -> None:
    """`shenhe.load` has the names, types and defaults that the command line has."""
    declared = {
        one.name: one
        for one in options_of(LoadOptions)
        if one.name not in ("prompts", "missions", "formats")
    }
    hints = get_type_hints(shenhe.load, include_extras=True)
    parameters = dict(inspect.signature(shenhe.load).parameters)
    for name in ("missions", "prompts", "examples", "guidance"):
        assert parameters.pop(name).default is None
    assert parameters.pop("formats").default == ConfigOptions().formats
    assert parameters.keys() == declared.keys()
    for name, parameter in parameters.items():
        default = declared[name].default
        assert parameter.default == (inspect.Parameter.empty if default is MISSING else default)
        assert _plain(hints[name]) == _plain(declared[name].hint), name


def _plain(hint: object) -> str:
    """Write a type without the marks of readers, and a tuple as the sequence it may be made of."""
    if get_origin(hint) is Annotated:
        return _plain(get_args(hint)[0])
    if get_origin(hint) is Literal:
        return repr(get_args(hint))
    parts = sorted(_plain(part) for part in get_args(hint) if part is not Ellipsis)
    origin = get_origin(hint) or hint
    name = "Sequence" if origin is tuple else getattr(origin, "__name__", repr(origin))
    return f"{'Union' if origin in (Union, UnionType) else name}{parts}"


def test_an_option_of_another_engine_is_refused_by_name() -> None:
    with spelling(in_python):
        with pytest.raises(OptionError, match=r"^dtype: is the server's to choose, with engine='"):
            shenhe.load("m", engine="server", base_url="http://h/v1", dtype="float32")
        with pytest.raises(OptionError, match=r"^quantize='int4': use int8$"):
            shenhe.load("m", quantize="int4")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="base_url"):
            LocalOptions(base_url="http://h/v1")  # type: ignore[call-arg]


@pytest.mark.parametrize("name", [name for name in COMMANDS if COMMANDS[name].file])
def test_defaults_of_the_command_line_are_those_of_the_class(name: str) -> None:
    """What a command line of required options gives is what Python gives of the same."""
    kind = load_command(name).options
    words: list[str] = []
    for declared in options_of(kind):
        if declared.is_required:
            text = "0.5" if declared.element is float else "x"
            value = declared.choices[0] if declared.choices else text
            words += [*declared.flags[:1], value]
    taken = parse([*name.split(), *words]).options
    _compare_defaults(kind, taken)


def _compare_defaults(kind: type[object], taken: object) -> None:
    for field in fields(kind):  # type: ignore[arg-type]
        value = getattr(taken, field.name)
        if hasattr(value, "__dataclass_fields__"):
            _compare_defaults(type(value), value)
        elif field.default is not MISSING:
            assert value == field.default, field.name


def test_the_demo_is_a_run_with_options_of_its_own() -> None:
    assert parse(["demo"]).options == DemoOptions()
    words = ["--model", "demo", "--adapters", "demo", "--dtype", "float32"]
    options = parse(["run", *words, "--data-root", "d", "--output-dir", "o"]).options
    local, vllm = LocalOptions(dtype="float32"), VllmOptions(dtype="float32")
    load = LoadOptions(model="demo", adapters=("demo",), local=local, vllm=vllm)
    assert options == RunCommandOptions(load=load, data_root=Path("d"), output_dir=Path("o"))


@pytest.mark.parametrize(
    ("words", "debug"),
    [
        (["status", "d"], False),
        (["--debug", "status", "d"], True),
        (["status", "--debug", "d"], True),
        (["--debug", "true", "status", "d"], True),
        (["--debug", "status", "--no-debug", "d"], False),
        (["evaluate", "--debug", "verdicts", "d"], True),
    ],
)
def test_debug_before_and_behind_the_command(words: list[str], debug: bool) -> None:
    assert parse(words).debug is debug


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("rum", "did you mean 'run'?"),
        ("evaluate captons", "did you mean 'captions'?"),
        ("status d --jsn", "--jsn (did you mean --json?)"),
        ("report d --max_group 3", "--max-group (did you mean --max-groups?)"),
        ("merge --modle m", "--modle (did you mean --model?)"),
        ("check vedict -", "did you mean 'verdict'?"),
    ],
)
def test_a_misspelled_word_is_told_what_it_may_mean(
    words: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(words.split())
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert meant in error
    assert error.count("\n") == 1


def test_usage_lines_show_what_a_command_needs() -> None:
    usages = {name: parser.format_usage() for name, parser in parsers_of(build_parser()).items()}
    assert usages["run"] == (
        "usage: shenhe run --model PATH --data-root DIR --output-dir DIR [options]\n"
    )
    assert usages["status"] == "usage: shenhe status RUN_DIR [options]\n"
    assert (
        usages["merge"]
        == "usage: shenhe merge --model BASE --adapters A... --output-dir OUT [options]\n"
    )


@option_class
class Base:
    shared: Count = option("a number", default=1)


@option_class
class First(Base):
    late: bool = option("a switch", default=True, after="early")


@option_class
class Second(Base):
    many: tuple[str, ...] = option("texts", default=(), gathering="each", flag="--one")


@option_class
class Both:
    early: str | None = option("a text", default=None)
    first: First = section("first", default=First())
    second: Second = section("second", default=Second())


def test_composed_classes_are_one_parser_and_one_value() -> None:
    assert [declared.name for declared in options_of(Both)] == ["early", "late", "shared", "many"]
    parser = argparse.ArgumentParser()

    add_options(parser, Both)
    assert read_options(Both, parser.parse_args([])) == Both()
    words = ["--one", "a", "--one", "b", "--shared", "7", "--no-late"]
    assert read_options(Both, parser.parse_args(words)) == Both(
        first=First(shared=7, late=False), second=Second(shared=7, many=("a", "b"))
    )


def test_classes_are_frozen_and_made_by_keywords() -> None:
    with pytest.raises(TypeError):
        CommonOptions(True)  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        CommonOptions().debug = True  # type: ignore[misc]
    assert ModelOptions(model="m").max_batch_size is None
    assert ModelOptions(model="m", batch_size="auto").max_batch_size is None
    assert ModelOptions(model="m", batch_size=3).max_batch_size == 3
    assert "s3cret" not in repr(ServerOptions(base_url="http://me:s3cret@host/v1"))


@pytest.mark.parametrize("path", pages(), ids=lambda path: str(path.relative_to(DOCS)))
def test_the_reference_is_as_the_declarations_are(path: Path) -> None:
    """After a change: python -m recipes.command_reference."""
    assert path.read_text(encoding="utf-8") == pages()[path]


def _texts(tree: ast.AST) -> Iterator[str]:
    """Yield the texts of a module but for its docstrings."""
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.Constant))
    documented = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in nodes:
        if isinstance(node.value, str) and id(node) not in documented:
            yield node.value


def test_modules_below_the_command_line_name_fields_and_no_flags() -> None:
    flags = {
        flag
        for parser in parsers_of(build_parser()).values()
        for action in parser._actions
        for flag in action.option_strings
        if flag not in ("-h", "--help")
    }
    package = Path(shenhe.__file__).parent
    for path in sorted(package.rglob("*.py")):
        # Options are declared there, and those of other programs are not ours.
        if path.parent.name == "cli" or path.relative_to(package) == Path("engines/options.py"):
            continue
        for text in _texts(ast.parse(path.read_text(encoding="utf-8"))):
            assert not flags & set(re.findall(r"--[a-z][a-z-]+", text)), (path.name, text)


@pytest.mark.parametrize(
    ("name", "value", "in_words", "on_the_line"),
    [
        ("max_pixels", None, "max_pixels", "--max-pixels"),
        ("quantize", "int4", "quantize='int4'", "--quantize int4"),
        ("output_dir", Path("a b"), "output_dir='a b'", "--output-dir a b"),
        ("temperature", -1.0, "temperature=-1.0", "--temperature -1.0"),
        ("overwrite", True, "overwrite=True", "--overwrite"),
        ("constrain", False, "constrain=False", "--no-constrain"),
        ("vllm_options", "NAME=VALUE", "vllm_options='NAME=VALUE'", "--vllm-option NAME=VALUE"),
    ],
)
def test_an_option_is_written_as_its_user_writes_it(
    name: str, value: object, in_words: str, on_the_line: str
) -> None:
    error = OptionError(name, value, "no")
    for way, text in ((in_python, in_words), (on_the_command_line, on_the_line)):
        with spelling(way):
            assert spelled(name, value) == text
            assert str(error) == str(pickle.loads(pickle.dumps(error))) == f"{text}: no"
