"""Adapters that are in their base already, or whose configuration is not that of their training."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import pytest

from shenhe.checkpoints.gate import admit_adapters, admit_for_peft
from shenhe.checkpoints.inspect import DEMO_FOLDER, find_adapter, find_checkpoint
from shenhe.checkpoints.load import load_checkpoint
from shenhe.checkpoints.merge import merge_adapters
from shenhe.errors import AdapterError

ARGS: dict[str, object] = {"model": "Qwen3-VL", "train_type": "lora"}
OF_DEMO = {"lora_rank": 16, "lora_alpha": 32, "use_rslora": False, "use_dora": False}


def _adapter(folder: Path, args: dict[str, object] | None = None, **changes: object) -> Path:
    shutil.copytree(DEMO_FOLDER / "adapter", folder)
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), "utf-8")
    if args is not None:
        (folder / "args.json").write_text(json.dumps(ARGS | args), "utf-8")
    return folder


def _other(folder: Path) -> Path:
    """An adapter with other settings, and so another fingerprint."""
    return _adapter(folder, lora_alpha=8)


def test_an_adapter_that_is_merged_already_is_not_applied_again(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    merge_adapters("demo", ["demo"], first)
    merge_adapters(str(first), [str(_other(tmp_path / "other"))], second)
    for base in (first, second):  # also behind another one, merged later
        with pytest.raises(AdapterError, match=r"is merged into .* already .*count twice"):
            merge_adapters(str(base), ["demo"], tmp_path / "twice")
        with pytest.raises(AdapterError, match="count twice"):
            load_checkpoint(str(base), ["demo"])
    with pytest.raises(AdapterError, match="count twice"):
        load_checkpoint(str(second), [str(tmp_path / "other")])
    assert not (tmp_path / "twice").exists()
    load_checkpoint(str(first), [str(tmp_path / "other")])


def _warnings(base: Path | str, adapter: Path) -> list[str]:
    """What both gates say of an adapter, which is the same."""
    files = find_checkpoint(str(base)), [find_adapter(str(adapter))]
    [plain], [by_peft] = admit_adapters(*files), admit_for_peft(*files)
    assert plain.warnings == by_peft.warnings
    return list(plain.warnings)


@pytest.mark.parametrize(
    ("args", "changes", "told"),
    [
        (OF_DEMO, {}, ""),
        ({}, {}, ""),
        ({"lora_alpha": None, "lora_rank": "many"}, {}, ""),
        (OF_DEMO, {"lora_alpha": 3200}, "lora_alpha is 3200, args.json says 32"),
        (OF_DEMO, {"use_rslora": True}, "use_rslora is True, args.json says False"),
        (OF_DEMO | {"use_rslora": True}, {}, "use_rslora is False, args.json says True"),
        (OF_DEMO | {"use_dora": True}, {}, "use_dora is False, args.json says True"),
        (OF_DEMO | {"lora_rank": 8}, {}, "r is 16, args.json says 8"),
    ],
)
def test_a_configuration_that_training_did_not_have_is_told(
    tmp_path: Path, args: dict[str, object], changes: dict[str, object], told: str
) -> None:
    said = _warnings("demo", _adapter(tmp_path / "adapter", args, **changes))
    assert bool(said) == bool(told)
    assert all(told in warning for warning in said)


def test_a_base_with_the_arguments_of_the_adapter_may_hold_it(tmp_path: Path) -> None:
    adapter = _adapter(tmp_path / "run" / "checkpoint-3")
    (tmp_path / "run" / "args.json").write_text(json.dumps(ARGS | OF_DEMO), "utf-8")
    base = tmp_path / "merged"
    shutil.copytree(DEMO_FOLDER / "base", base)
    assert not _warnings(base, adapter)
    (base / "args.json").write_text(json.dumps(ARGS), "utf-8")
    assert not _warnings(base, adapter)
    shutil.copyfile(tmp_path / "run" / "args.json", base / "args.json")  # as ms-swift merges
    (warning,) = _warnings(base, adapter)
    assert "merged already" in warning
    with pytest.warns(UserWarning, match="merged already"), warnings.catch_warnings():
        merge_adapters(str(base), [str(adapter)], tmp_path / "out")
