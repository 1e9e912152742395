"""The arguments that ms-swift writes, and which of them apply."""

from __future__ import annotations

from pathlib import Path

import pytest

from shenhe.checkpoints.trainer_args import read_trainer_args
from shenhe.errors import CheckpointError


def test_args_of_the_checkpoint_or_of_its_run(tmp_path: Path) -> None:
    folder = tmp_path / "v0-20261124" / "checkpoint-800"
    folder.mkdir(parents=True)
    assert read_trainer_args(folder) is None
    (folder.parent / "args.json").write_text('{"model": "base", "system": " 一 \\n"}')
    args = read_trainer_args(folder)
    assert args is not None
    assert (args.model, args.system) == ("base", "一")
    (folder / "args.json").write_text('{"model": null, "system": ["odd"]}')
    args = read_trainer_args(folder)
    assert args is not None
    assert (args.model, args.system) == ("", "")


def test_args_beside_something_else_are_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "args.json").write_text('{"model": "base", "system": "一"}')
    (tmp_path / "base").mkdir()
    monkeypatch.chdir(tmp_path)
    assert read_trainer_args(Path("base")) is None
    assert read_trainer_args(Path("demo")) is None


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "args.json").write_text("[]")
    with pytest.raises(CheckpointError, match=r"args\.json: cannot be read"):
        read_trainer_args(tmp_path)
