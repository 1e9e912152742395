"""`merge` and `export` as users type them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import DEMO
from tests.warm import SHENHE


def _shenhe(*words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    run = subprocess.run([*SHENHE, *map(str, words)], capture_output=True, text=True, check=False)
    assert run.returncode == code, run.stderr
    return run


def test_swifts_command_line_merges(tmp_path: Path) -> None:
    adapter = tmp_path / "checkpoint-800"
    shutil.copytree(DEMO / "checkpoint" / "adapter", adapter)
    (tmp_path / "args.json").write_text('{"model": "demo"}')  # of the run that saved it
    run = _shenhe(
        *("export", "--adapters", adapter, "--merge_lora", "true"),
        *("--safe_serialization", "true", "--max_shard_size", "3MB", "--hub_token", "hf_SECRET"),
    )
    assert "ignored: --hub-token\n" in run.stderr
    assert "video_preprocessor_config.json" in run.stderr
    assert "GB/s" in run.stdout
    assert "base demo, as" in run.stderr
    merged = tmp_path / "checkpoint-800-merged"
    assert len(list(merged.glob("model-*.safetensors"))) > 1
    refused = _shenhe(
        "merge", "--model", "demo", "--adapters", adapter, "--output-dir", merged, code=2
    )
    assert "--overwrite" in refused.stderr


def test_what_cannot_be_done_is_one_line(tmp_path: Path) -> None:
    base = ("--model", "demo", "--adapters", "demo", "--output-dir", tmp_path / "m")
    for words, said in (
        (("export", *base), "--merge_lora true"),
        (("export", *base, "--merge_lora", "true", "--safe_serialization", "false"), "safetensors"),
        (("merge", *base, "--max-shard-size", "5X"), "no size like 5GB"),
        (("merge", *base[:2], "--adapters", "none", *base[4:]), "no such folder"),
    ):
        run = _shenhe(*words, code=2)
        assert said in run.stderr
        assert len(run.stderr.splitlines()) == 1
    assert not (tmp_path / "m").exists()


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], check=False
        ).returncode
    ):
        pytest.skip("no right to mount a small disk here")
    try:
        run = _shenhe(
            *("merge", "--model", "demo", "--adapters", "demo", "--output-dir", disk / "m"), code=2
        )
        assert "are free" in run.stderr
        assert not [path for path in disk.iterdir() if path.is_dir()]
    finally:
        subprocess.run(["umount", str(disk)], check=True)
