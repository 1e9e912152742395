"""Whatever stands behind an option: a value, or one line and exit code 2; never a traceback."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from shenhe.cli import values
from shenhe.cli.caption import CaptionOptions
from shenhe.cli.command_line import build_parser, parse, parsers_of
from shenhe.cli.main import exit_code

ODD = (
    *(
        "",
        " ",
        "\0",
        "a\0b",
        "\udcff",
        "\ud800",
        "\x1b[31m",
        "\u202ea",
        "a\nb",
        "🙂" * 100,
        "x" * 5000,
    ),
    *("nan", "inf", "-inf", "1e400", "-1", "0", "0x10", "9" * 30, "9" * 5000, "9" * 400 + "GB"),
    *(
        "nosuch://x",
        "://x",
        "s3://[",
        "http://[::1",
        "file://%00",
        "file:///%ff",
        "gs://b",
        "hdfs:/",
    ),
    *("/dev/null/x", "folder", "missing", "not-utf8.toml", "{", "a=b=c", "."),
)
NEVER = ("", " ", "\0", "a\0b")
"""No option means anything by these."""
NO_NUMBER = (*NEVER, "nan", "inf", "-inf", "1e400", "0x10", "\udcff", "folder", "x" * 5000)
WHOLE = {
    "chat": "--model nosuch --prompt q",
    "infer": "--model nosuch --prompt q",
    "caption": "folder --model nosuch --output out/c.jsonl",
    "summarize": "--model nosuch --data-root folder --mission 挡风板安装检查 --output-dir out",
    "judge": "--model nosuch --stage-a folder --output-dir out",
    "run": "--model nosuch --data-root folder --output-dir out",
    "status": "missing",
    "fsck": "missing",
    "report": "missing",
    "review": "missing",
    "serve": "--model nosuch --data out",
    "team": "missing",
    "decide": "missing --output-dir out",
    "photos": "missing --output photos.jsonl",
    "promise": "missing --max-false-pass 0.05 --output promise.json",
    "watch": "missing",
    "merge": "--model nosuch --adapters no --output-dir out",
    "export": "--merge_lora true --model nosuch --adapters no --output-dir out",
    "verify": "nosuch",
    "doctor": "--model nosuch --engine vllm",
    "convert": "missing --format coco --output out",
    "requests": "missing --stage judge --model m --output out/r.jsonl",
    "answers": "missing --requests missing.jsonl --output-dir out",
    "evaluate captions": "--predictions missing --truth missing",
    "evaluate verdicts": "missing",
    "evaluate evidence": "missing",
    "check": "caption missing",
    "demo": "",
}
"""Commands that are whole, but for what they would read: it is not there."""


COMMANDS = parsers_of(build_parser())
VALUED = [
    (name, action)
    for name, command in COMMANDS.items()
    for action in command._actions
    if action.nargs != 0
]


def _argv(name: str, action: argparse.Action, value: str) -> list[str]:
    """Write a whole command with a value in the place of one of its own."""
    words = WHOLE[name].split()
    if action.option_strings:
        return [*name.split(), *words, f"{action.option_strings[0]}={value}"]
    places = [a.dest for a in COMMANDS[name]._get_positional_actions()]
    words[places.index(action.dest)] = value
    if value.startswith("-"):
        words.insert(0, "--")
    return [*name.split(), *words]


def _is_one_line(error: str) -> None:
    assert error.count("\n") == 1, error
    assert error.startswith("shenhe")
    assert "Traceback" not in error
    assert "internal error" not in error
    assert error.rstrip("\n").isprintable()


def test_every_command_is_tried() -> None:
    assert set(COMMANDS) == set(WHOLE)


@pytest.mark.parametrize("name", COMMANDS)
def test_reading_any_value_gives_one_or_a_line(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = COMMANDS[name]
    for action in command._actions:
        if action.nargs == 0:
            continue
        for value in ODD:
            try:
                command._get_values(action, [value])
            except argparse.ArgumentError as error:
                with pytest.raises(SystemExit) as left:
                    command.error(str(error))
                assert left.value.code == 2
                _is_one_line(capsys.readouterr().err)
            else:
                assert value not in NEVER, (name, action.dest)
                assert value not in NO_NUMBER or not isinstance(
                    command._get_value(action, value), int | float
                )


FILES = {
    action.dest: (name, action)
    for name, action in VALUED
    if action.type is Path and name != "demo"  # which has one option, and writes to any folder
}


@pytest.mark.parametrize("dest", FILES)
@pytest.mark.parametrize("value", ["folder", "not-utf8.toml", "/dev/null/x", "a\nb"])
def test_a_file_that_is_none_ends_in_a_line(
    dest: str,
    value: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "not-utf8.toml").write_bytes(b"\xff\xfe\0")
    name, action = FILES[dest]
    try:
        code: object = exit_code(_argv(name, action, value))
    except SystemExit as left:
        code = left.code
    assert code == 2
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("shenhe")]
    _is_one_line("\n".join([*told, ""]))


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--seed", "9" * 30, "or less"),
        ("--limit", "x", "no whole number"),
        ("--temperature", "nan", "no finite number"),
        ("--pass-above", "inf", "no finite number"),
        ("--shard-size", "9" * 400 + "GB", "more than any disk"),
        ("--shard-size", "0.1B", "more than nothing"),
        ("--output-dir", "", "must not be empty"),
        ("--output-dir", "照" * 100, "too long for a file's name"),
        ("--prompts", "\udcff", "not UTF-8"),
        ("--metrics-port", "65536", "65535 or less"),
    ],
)
def test_what_is_wrong_is_said(
    option: str, value: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        exit_code(["run", *WHOLE["run"].split(), f"{option}={value}"])
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert option in error
    assert said in error
    _is_one_line(error)


def test_values_that_are_right() -> None:
    assert values.size("1.5GiB") == 3 * 2**29
    assert values.size("2TiB") == 2**41
    assert values.whole(-3)("-3") == -3
    assert values.either(["auto"], values.whole(1))("auto") == "auto"
    assert str(values.location("照\udcff.jpg")) == "照\udcff.jpg"
    for words, vocabulary in (([], None), (["--vocabulary"], True)):
        options = parse(["caption", "p", "--model", "m", "--output", "o", *words]).options
        assert isinstance(options, CaptionOptions)
        assert options.vocabulary is vocabulary


def test_a_text_for_ms_swift_may_be_longer_than_any_file_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert exit_code(["infer", *WHOLE["infer"].split(), "--system", "你是质检员。" * 2000]) == 2
    assert "no such folder" in capsys.readouterr().err
