"""Command lines of ms-swift: every option honoured, named or refused, none dropped in silence."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from shenhe.cli.command_line import build_parser, parse, parsers_of
from shenhe.cli.infer import InferOptions
from shenhe.cli.infer_load import translate_load, with_merged
from shenhe.cli.main import exit_code
from shenhe.cli.merge import ExportOptions
from shenhe.cli.swift_environment import read_environment
from shenhe.cli.swift_options import ELSEWHERE, LETTERS, swift_options
from shenhe.engines.options import LocalOptions, VllmOptions
from shenhe.errors import OptionError, UsageError
from tests.conftest import DEMO

SWIFT_VARIABLES = ("MAX_PIXELS", "IMAGE_MAX_TOKEN_NUM", "NPROC_PER_NODE", "NNODES")


def _infer(*argv: str) -> InferOptions:
    options = parse(["infer", "--model", "m", *argv]).options
    assert isinstance(options, InferOptions)
    return options


def _loaded(*argv: str) -> tuple[object, ...]:
    options = _infer(*argv)
    load = translate_load(options.load, options.swift)
    return load.engine, load.model, load.adapters, load.batch_size, load.max_pixels


@pytest.mark.parametrize("command", LETTERS)
def test_the_table_and_the_declared_options_agree(command: str) -> None:
    flags = parsers_of(build_parser())[command]._option_string_actions
    table = swift_options(command)
    for name, option in table.items():
        assert option.name.isidentifier()
        if option.meaning == "honoured":
            assert name in flags, name
        elif option.meaning == "as":
            assert f"--{option.note.replace('_', '-')}" in flags, name
        else:
            assert option.note, name
            assert not option.unless or option.meaning == "refused", name


@pytest.mark.parametrize("command", LETTERS)
def test_what_changes_nothing_is_named_without_its_value(command: str) -> None:
    words = [command, "--model", "m", *(["--adapters", "a"] if command == "export" else [])]
    harmless = [n for n, o in swift_options(command).items() if o.meaning == "harmless"]
    for name in harmless:
        words += [name.replace("-", "_").replace("__", "--", 1), "hf_SECRET"]
    line = parse(words)
    declared = parsers_of(build_parser())[command]._option_string_actions
    assert line.ignored.split() == [name for name in harmless if name not in declared]
    assert "hf_SECRET" not in line.ignored


@pytest.mark.parametrize(
    ("command", "name", "values"),
    [
        (command, name, option.unless)
        for command in LETTERS
        for name, option in swift_options(command).items()
        if option.meaning == "refused"
    ],
)
def test_work_that_is_not_done_is_exit_2(
    command: str, name: str, values: frozenset[str], capsys: pytest.CaptureFixture[str]
) -> None:
    base = [command, "--model", "m", "--adapters", "a"]
    for more in ([], ["TOKEN-1"], ["TOKEN-1", "2"]):
        with pytest.raises(SystemExit) as left:
            exit_code([*base, name, *more])
        error = capsys.readouterr().err
        assert left.value.code == 2
        assert f"{name}: {swift_options(command)[name].note}" in error
        assert error.count("\n") == 1
        assert "TOKEN-1" not in error
    for value in values:
        if value.startswith("--"):
            assert name in parse([*base, name, "x", value, "y"]).ignored
            continue
        assert name in parse([*base, f"{name}={value}"]).ignored


def test_an_option_of_nobody_is_refused_unless_errors_are_to_be_ignored(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as left:
        exit_code(["infer", "--model", "m", "--val_datset", "x.jsonl", "--top_q", "1"])
    error = capsys.readouterr().err
    assert left.value.code == 2
    assert "unrecognized arguments: --val-datset (did you mean --val-dataset?) --top-q" in error
    line = parse(["infer", "--model", "m", "--top_q", "1", "--ignore_args_error", "true"])
    assert line.ignored == "--ignore-args-error --top-q"


@pytest.mark.parametrize("command", [*ELSEWHERE, "web_ui"])
def test_other_commands_of_ms_swift_say_what_does_their_work(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        exit_code(["--debug", command, "--model", "m", "--port", "8000"])
    error = capsys.readouterr().err
    assert left.value.code == 2
    assert ELSEWHERE[command.replace("_", "-")] in error
    assert error.count("\n") == 1


def test_other_names_of_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SWIFT_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    adapter = tmp_path / "checkpoint-9"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    options = _infer(
        *("--adapters", "a", "b", "--stream", "true", "--attn_impl", "flash_attn"),
        *("--torch_dtype", "float32", "--max_model_len", "4096", "--val_dataset", "x#5", "y"),
        *("--show_dataset_sample", "-1", "--vllm_enforce_eager=true"),
    )
    assert options.load.local == LocalOptions(attn_impl="flash_attention_2", dtype="float32")
    assert options.load.vllm.vllm_options == ("max_model_len=4096", "enforce_eager=true")
    assert (options.load.adapters, options.stream) == (("a", "b"), True)
    assert options.rows.val_dataset == ("x#5", "y")
    assert options.rows.val_dataset_sample == -1
    assert _loaded("--infer_backend", "pt", "--max_batch_size", "8")[3] == 8
    assert _loaded("--infer_backend", "vllm", "--max_batch_size", "-1")[::3] == ("vllm", "auto")
    assert _loaded("--infer_backend", "sglang", "--engine", "server")[0] == "server"
    assert _loaded("--ckpt_dir", str(adapter))[1:3] == ("m", (str(adapter),))
    by_old_names = parse(["infer", "--model_id_or_path", "b", "--ckpt_dir", str(adapter)]).options
    assert isinstance(by_old_names, InferOptions)
    assert by_old_names.load.model == "b"
    merged = parse(["infer", "--ckpt_dir", "merged"]).options
    assert isinstance(merged, InferOptions)
    assert translate_load(merged.load, merged.swift).model == "merged"
    monkeypatch.setenv("NPROC_PER_NODE", "2")
    assert translate_load(_infer().load, _infer().swift).devices == ("0,1",)
    on_cpu = _infer("--device_map", "cpu")
    assert translate_load(on_cpu.load, on_cpu.swift).devices == ("cpu,cpu",)
    assert translate_load(on_cpu.load, on_cpu.swift, for_rows=False).devices == ()
    export = parse(["export", "--ckpt_dir", "a", "--merge_lora", "true", "--exist_ok"]).options
    assert isinstance(export, ExportOptions)
    assert (export.ckpt_dir, export.exist_ok) == ("a", True)
    assert VllmOptions().vllm_options == ()


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (["--infer_backend", "sglang"], "--engine server"),
        (["--infer_backend", "lmdeploy"], "--engine server"),
        (["--temperature", "0.7", "--top_k", "20"], "--top-k 20: is not done here"),
        (["--device_map", '{"": 0}'], "one device"),
        (["--ckpt_dir", "merged"], "beside --model"),
        (["--model_kwargs", "max_pixels=1"], "no JSON"),
        (["--model_kwargs", '{"MAX_PIXELS": "many"}'], "no whole number"),
    ],
)
def test_what_cannot_be_honoured_is_named(argv: list[str], problem: str) -> None:
    options = _infer(*argv)
    with pytest.raises(UsageError, match=problem):
        translate_load(options.load, options.swift)


@pytest.mark.parametrize(
    ("environ", "kwargs", "max_pixels", "notes"),
    [
        ({}, None, None, 0),
        ({"MAX_PIXELS": "1003520"}, None, 1003520, 0),
        ({"MAX_PIXELS": "1003999"}, None, 1003520, 0),
        ({"MAX_PIXELS": "1003520", "IMAGE_MAX_TOKEN_NUM": "80"}, None, 81920, 0),
        ({"MAX_PIXELS": ""}, '{"max_pixels": 262144}', 262144, 0),
        ({"VIDEO_MAX_PIXELS": "1", "MIN_PIXELS": "2", "NPROC_PER_NODE": "4"}, None, None, 2),
        ({"NPROC_PER_NODE": "1", "NNODES": "1"}, None, None, 0),
    ],
)
def test_the_environment_of_ms_swift(
    environ: dict[str, str], kwargs: str | None, max_pixels: int | None, notes: int
) -> None:
    read = read_environment(environ, kwargs)
    assert read.max_pixels == max_pixels
    assert len(read.notes) == notes


@pytest.mark.parametrize(
    "environ", [{"MAX_PIXELS": "-1"}, {"MAX_PIXELS": "100"}, {"NNODES": "2"}, {"MAX_PIXELS": "1e6"}]
)
def test_an_environment_that_cannot_be_honoured_is_named(environ: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=next(iter(environ))):
        read_environment(environ, None)


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (["--result_path", "y.jsonl"], "--result-path y.jsonl: goes with --val-dataset FILE"),
        (["--val_dataset_sample", "5"], "--val-dataset-sample: goes with"),
        (["--metric", "acc"], "--metric: goes with"),
        (["--limit", "5"], "--limit: goes with"),
        (["--eval_human", "false"], "goes with"),
        (["--load_data_args", "true"], "args.json names no val_dataset"),
        (["--val_dataset", "none.jsonl"], "none.jsonl: no such file"),
        (["--val_dataset", "none.jsonl", "--prompt", "q"], "--prompt: goes without --val-dataset"),
        (["--system", "none.txt"], "--system none.txt: no such file"),
        (["--metric", "rouge"], "invalid choice"),
        (["--load_args", "false", "--model", ""], "empty"),
        (["--prompt", "q", "--attn_impl", "flash_attn"], "pip install flash-attn"),
    ],
)
def test_no_work_is_left_undone_in_silence(
    argv: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code: object = exit_code(["infer", "--model", "demo", *argv])
    except SystemExit as left:
        code = left.code
    error = capsys.readouterr().err.removeprefix("loading demo ...\n")
    assert code == 2
    assert problem in error
    assert error.count("\n") == 1


def test_an_earlier_merge_is_used_only_if_it_is_of_these_files(tmp_path: Path) -> None:
    adapter = shutil.copytree(DEMO / "checkpoint" / "adapter", tmp_path / "lora")
    load = _infer("--model", "demo", "--adapters", str(adapter)).load
    merged = with_merged(load)
    assert (merged.model, merged.adapters) == (f"{adapter}-merged", ())
    written = (Path(merged.model) / "model.safetensors").stat().st_mtime_ns
    assert with_merged(load) == merged
    assert (Path(merged.model) / "model.safetensors").stat().st_mtime_ns == written
    weights = adapter / "adapter_model.safetensors"
    tensors = load_file(weights)
    save_file({name: tensor * 2 for name, tensor in tensors.items()}, weights)  # trained on
    with pytest.raises(OptionError, match="was not merged from these files"):
        with_merged(load)
    with pytest.raises(OptionError, match="goes with --adapters"):
        with_merged(replace(load, adapters=()))


@pytest.mark.parametrize(
    ("content", "result", "problem"),
    [
        ("", "y.jsonl", "holds no rows"),
        ("\n\n", "y.jsonl", "holds no rows"),
        ('{"query": "q"}\n{"query', "x.jsonl", "is the dataset itself"),
        ('{"query": "q"}\n', "theirs.jsonl", "an answer that another tool wrote"),
        ('{"query": "q"}\n', "folder", "folder"),
    ],
)
def test_files_that_are_no_dataset_or_no_place_for_answers(
    content: str,
    result: str,
    problem: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("x.jsonl").write_text(content, encoding="utf-8")
    told = '{"response": "r", "labels": null, "images": [{"bytes": null, "path": "a.jpg"}]}\n'
    Path("theirs.jsonl").write_text(told, encoding="utf-8")
    argv = ["infer", "--model", "demo", "--val_dataset", "x.jsonl", "--result_path", result]
    assert exit_code([*argv, "--dry-run"]) == 2
    error = capsys.readouterr().err
    assert problem in error
    assert error.count("\n") == 1
    assert Path("x.jsonl").read_text(encoding="utf-8") == content
    assert Path("theirs.jsonl").read_text(encoding="utf-8") == told
