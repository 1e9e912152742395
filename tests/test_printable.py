"""Foreign text on a terminal."""

from __future__ import annotations

import ast
import json
import logging
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import shenhe
from shenhe.cli.main import exit_code
from shenhe.cli.tables import print_table
from shenhe.printable import PrintableFormatter, json_line, printable, show

PACKAGE = Path(shenhe.__file__).parent
HOSTILE = "a\x1b[2J\x9b31m\u202e[red]b[/red][/]\udcff"
SHOWN = "a\\x1b[2J\\x9b31m\\u202e[red]b[/red][/]\\udcff"


def test_a_name_begins_no_line_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "group\nready: 0 failed"
    folder = tmp_path / "photos" / "挡风板安装检查" / "通过" / name
    folder.mkdir(parents=True)
    (tmp_path / "photos" / name).mkdir()
    run = ["run", "--model", "nosuch", "--data-root", str(tmp_path / "photos"), "--dry-run"]
    assert exit_code([*run, "--output-dir", str(tmp_path / "out")]) in (0, 1)
    assert exit_code(["fsck", str(tmp_path / name)]) == 2
    captured = capsys.readouterr()
    lines = (captured.out + captured.err).splitlines()
    assert any("group\\nready" in line for line in lines)
    assert not [line for line in lines if line.startswith("ready")]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("BBU设备/华为×1，备注: 无", "BBU设备/华为×1，备注: 无"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b[2J通过", "\\x1b[2J通过"),
        ("不通过\r通过", "不通过\\x0d通过"),
        ("a\u202e过通不", "a\\u202e过通不"),
        ("\x9b31m", "\\x9b31m"),
        ("half \udcb2", "half \\udcb2"),
    ],
)
def test_what_a_terminal_would_obey_is_spelled_out(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(alphabet=st.characters()))
def test_nothing_but_visible_text_is_left(text: str) -> None:
    left = {unicodedata.category(character) for character in printable(text)} - {"Cf"}
    assert not left & {"Cs"}
    assert not {c for c in printable(text) if unicodedata.category(c) == "Cc"} - {"\n", "\t"}
    assert printable(printable(text)) == printable(text)


def test_whatever_is_shown_is_spelled_out(capsys: pytest.CaptureFixture[str]) -> None:
    show(Path(HOSTILE))
    show(HOSTILE, end="")
    assert capsys.readouterr().out == f"{SHOWN}\n{SHOWN}"


def test_cells_are_neither_markup_nor_commands(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "[bold]n"), [(HOSTILE, "1")], title=HOSTILE)
    shown = capsys.readouterr().out
    assert shown.count(SHOWN) == 2
    assert "[bold]n" in shown
    assert "\x1b" not in shown


def test_logged_words_are_spelled_out() -> None:
    record = logging.LogRecord("shenhe", logging.WARNING, "", 0, "the server: %s", (HOSTILE,), None)
    assert PrintableFormatter().format(record) == f"the server: {SHOWN}"


@given(st.dictionaries(st.text(), st.text() | st.lists(st.text())), st.sampled_from([None, 2]))
def test_json_stays_the_same_value(value: object, indent: int | None) -> None:
    text = json_line(value, indent)
    assert json.loads(text) == value
    assert printable(text) == text


@pytest.mark.parametrize(
    "argv",
    [
        ["check", "caption", HOSTILE],
        ["check", HOSTILE, "-"],
        ["status", HOSTILE],
        ["report", HOSTILE],
        ["merge", "--model", HOSTILE, "--adapters", HOSTILE, "--output-dir", "/nowhere"],
        ["status", "/nowhere", f"--{HOSTILE}"],
        ["infer", "--model", HOSTILE, f"--{HOSTILE}", "x"],
        [HOSTILE],
    ],
    ids=lambda argv: argv[0] if argv[0].isalpha() else "command",
)
def test_what_was_typed_is_spelled_out(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code: object = exit_code(argv)
    except SystemExit as exited:
        code = exited.code
    captured = capsys.readouterr()
    assert code == 2
    for text in (captured.out, captured.err):
        assert not {"\x1b", "\x9b", "\u202e"} & set(text)
    assert "x1b[2J" in captured.err
    assert captured.err.count("\n") <= 3  # what is ignored, what is being done, what is wrong


def test_check_shows_rows_that_no_terminal_obeys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = "通过\n理由: a\x9b2J\u202eb"
    (tmp_path / "rows.jsonl").write_text(json.dumps({"raw": raw}), encoding="utf-8")
    assert exit_code(["check", "verdict", str(tmp_path / "rows.jsonl")]) == 0
    out = capsys.readouterr().out
    assert not {"\x9b", "\u202e"} & set(out)
    assert json.loads(out)["value"]["reason"] == "a\x9b2J\u202eb"


def test_nothing_prints_by_itself() -> None:
    """Foreign text reaches a terminal through `printable` alone."""
    consoles = {"cli/tables.py", "cli/merging.py", "runs/progress.py"}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if called == "print" and name != "printable.py":
                written = [ast.unparse(argument).split("(")[0] for argument in node.args]
                assert written in (["json_line"], ["__file__"]), f"{name}:{node.lineno}"
            assert called not in (
                "traceback.print_exc",
                "sys.stdout.write",
                "sys.stderr.write",
            ), f"{name}:{node.lineno}"
            assert called != "Console" or name in consoles, f"{name}:{node.lineno}"
