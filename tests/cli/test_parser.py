"""Both spellings, switches with values, and help for everything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from shenhe.cli.command_line import parse
from shenhe.cli.commands import COMMANDS
from shenhe.cli.main import exit_code
from shenhe.cli.report import ReportOptions
from shenhe.cli.run import RunCommandOptions

RUN = ["--model", "m", "--data-root", "d", "--output-dir", "o"]


def _run(*argv: str) -> RunCommandOptions:
    options = parse(["run", *argv]).options
    assert isinstance(options, RunCommandOptions)
    return options


@pytest.mark.parametrize(
    "argv",
    [
        ["--data-root", "d", "--output-dir", "o", "--batch-size", "7", "--attn-impl", "eager"],
        ["--data_root", "d", "--output_dir", "o", "--batch_size", "7", "--attn_impl", "eager"],
        ["--data_root=d", "--output-dir=o", "--batch_size=7", "--attn_impl=eager"],
    ],
)
def test_both_spellings(argv: list[str]) -> None:
    options = _run("--model", "m", *argv)
    assert str(options.data_root) == "d"
    assert (options.load.batch_size, options.load.local.attn_impl) == (7, "eager")


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
    assert _run(*RUN, *argv).work.dry_run is value


def test_a_value_may_look_like_a_switch() -> None:
    assert _run(*RUN, "--mission", "true").mission == ("true",)
    assert parse(["report", "--debug", "true", "my_run"]).options == ReportOptions(
        run_dir=Path("my_run")
    )


def test_values_keep_their_underscores() -> None:
    assert str(_run(*RUN[:2], "--data_root=a_b/c_d", *RUN[4:]).data_root) == "a_b/c_d"


def test_adapters_in_both_ways_and_in_order() -> None:
    options = _run(*RUN, "--adapters", "a", "b", "--adapters", "c")
    assert options.load.adapters == ("a", "b", "c")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        exit_code([*command.split(), "--help"])
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
        (["--lora_rank", "infer"], "unrecognized arguments: --lora-rank"),
        (["-b", "export", "--adapters", "a"], "unrecognized arguments: -b"),
        (["--debug", "--bogus=x", "infer"], "unrecognized arguments: --bogus"),
        (["run", *RUN, "--mission=--"], "--mission: expected one argument"),
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


def test_a_suggestion_is_made_once(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        exit_code(["--debu", "demo"])
    assert capsys.readouterr().err.count("did you mean --debug?") == 1
    with pytest.raises(SystemExit):
        exit_code(["run", "--mod", "a", "--mod", "b"])
    assert capsys.readouterr().err.count("did you mean --model?") == 1


@pytest.mark.parametrize("words", [["--prompt", "--prompts my-password"], ["--", "--promptz"]])
def test_values_are_taken_for_no_options(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        exit_code(["chat", *words])
    error = capsys.readouterr().err
    assert "required: --model" in error
    assert "did you mean" not in error
    assert "my-password" not in error
