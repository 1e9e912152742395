"""Both spellings, switches with values, and help for everything."""

from __future__ import annotations

import subprocess
import sys

import pytest

from shenhe.cli.main import exit_code
from shenhe.cli.parser import EXAMPLES, build_parser, normalized

RUN = ["--model", "m", "--data-root", "d", "--output-dir", "o"]


def _parse(*argv: str):  # type: ignore[no-untyped-def]
    parser = build_parser()
    return parser.parse_args(normalized(list(argv), parser))


@pytest.mark.parametrize(
    "argv",
    [
        ["--data-root", "d", "--output-dir", "o", "--batch-size", "7", "--attn-impl", "eager"],
        ["--data_root", "d", "--output_dir", "o", "--batch_size", "7", "--attn_impl", "eager"],
        ["--data_root=d", "--output-dir=o", "--batch_size=7", "--attn_impl=eager"],
    ],
)
def test_both_spellings(argv: list[str]) -> None:
    options = _parse("run", "--model", "m", *argv)
    assert (str(options.data_root), options.batch_size, options.attn_impl) == ("d", 7, "eager")


@pytest.mark.parametrize(
    ("argv", "value"),
    [
        ([], False),
        (["--dry-run"], True),
        (["--no-dry-run"], False),
        (["--dry-run", "true"], True),
        (["--dry_run", "True"], True),
        (["--dry-run", "false"], False),
        (["--dry_run=false"], False),
        (["--dry-run=true"], True),
    ],
)
def test_switches(argv: list[str], value: bool) -> None:
    assert _parse("run", *RUN, *argv).dry_run is value


def test_a_value_may_look_like_a_switch() -> None:
    assert _parse("run", *RUN, "--mission", "true").mission == ["true"]
    assert _parse("report", "--debug", "true", "my_run").run_dir.name == "my_run"


def test_values_keep_their_underscores() -> None:
    assert str(_parse("run", *RUN[:2], "--data_root=a_b/c_d", *RUN[4:]).data_root) == "a_b/c_d"


def test_adapters_in_both_ways_and_in_order() -> None:
    options = _parse("run", *RUN, "--adapters", "a", "b", "--adapters", "c")
    assert options.adapters == [["a", "b"], ["c"]]


@pytest.mark.parametrize("command", EXAMPLES)
def test_every_command_has_help_with_an_example(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        exit_code([command, "--help"])
    assert caught.value.code == 0
    assert "Example:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "required: COMMAND"),
        (["fly"], "invalid choice"),
        (["run"], "--model"),
        (["run", *RUN, "--limit", "0"], "must be 1 or more"),
        (["run", *RUN, "--mod", "x"], "unrecognized"),
        (["run", *RUN, "--engine", "abacus"], "invalid choice"),
    ],
)
def test_wrong_options_exit_2_in_one_line(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        exit_code(argv)
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_the_module_and_the_script_are_one() -> None:
    for command in ([sys.executable, "-m", "shenhe"], [f"{sys.prefix}/bin/shenhe"]):
        run = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
        assert run.stdout.startswith("shenhe ")
