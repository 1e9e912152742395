"""`swift infer` and `shenhe infer` on one dataset: keys, labels, messages, answers; and options."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from shenhe.checkpoints.merge import merge_adapters
from shenhe.cli.main import exit_code
from shenhe.cli.swift_options import LETTERS, swift_options
from shenhe.config import load_missions, load_prompts
from shenhe.photos import PixelBudget, load
from tests.peers.environments import MS_SWIFT, environment
from tests.peers.real_ids import add_video, with_real_ids

pytestmark = pytest.mark.peers
FIELDS = """
import json
from dataclasses import fields
from swift.arguments import ExportArguments, InferArguments
kinds = {"infer": InferArguments, "export": ExportArguments}
print(json.dumps({name: [f.name for f in fields(kind)] for name, kind in kinds.items()}))
"""
KEYS = ("labels", "logprobs", "messages", "images", "dataset")
TRAINED = 3
"""Number of rows whose prompt the checkpoint was trained on."""


def test_the_table_has_every_option_of_ms_swift() -> None:
    python = environment("ms-swift", MS_SWIFT)
    told = subprocess.run([python, "-c", FIELDS], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    fields = json.loads(told.stdout.splitlines()[-1])
    for command in LETTERS:
        named = {option.name for option in swift_options(command).values()}
        assert set(fields[command]) <= named


def test_the_same_command_line_gives_the_same_rows(tmp_path: Path, demo_photos: list[Path]) -> None:
    python = environment("ms-swift", MS_SWIFT)
    merge_adapters("demo", ["demo"], tmp_path / "merged", dtype="float32")
    model = with_real_ids(add_video(tmp_path / "merged"), tmp_path / "model")
    for number, photo in enumerate(demo_photos[:3]):  # as the model sees them: one resize fewer
        load(photo, PixelBudget(4096, 81920)).image.save(tmp_path / f"{number}.png")
    dataset = tmp_path / "val.jsonl"
    prompt = load_prompts().summary
    question = prompt.fill(load_missions().get("挡风板安装检查"))
    system = {"role": "system", "content": prompt.system}
    user = {"role": "user", "content": f"图片_1: <image>\n{question}"}
    label = {"role": "assistant", "content": "标签"}
    rows: list[dict[str, Any]] = [
        {"messages": [system, user, label], "images": ["0.png"]},
        {"messages": [system, user], "images": ["1.png"]},
        {"messages": [system, user], "images": ["2.png"]},
        # The checkpoint was not trained on these: rounding decides what it says.
        {"messages": [{"role": "user", "content": "描述"}], "images": ["1.png", "2.png"]},
        {"messages": [user, label, {"role": "user", "content": "<image>"}], "images": list("01")},
        {"messages": [{"role": "user", "content": "你好"}]},
    ]
    shutil.copy(tmp_path / "0.png", tmp_path / "0")
    shutil.copy(tmp_path / "1.png", tmp_path / "1")
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    dataset.write_text(text, encoding="utf-8")
    line = f"infer --model {model} --model_type qwen3_vl --infer_backend pt --torch_dtype float32"
    line += (
        " --val_dataset val.jsonl --max_new_tokens 40 --temperature 0 --system 默认 --result_path"
    )
    # The pixel budget of this checkpoint, in image tokens: ms-swift reads none from its files.
    environ = os.environ | {"IMAGE_MAX_TOKEN_NUM": "80", "IMAGE_MIN_TOKEN_NUM": "4"}
    words = [str(python.with_name("swift")), *line.split(), "theirs.jsonl"]
    run = subprocess.run(
        words, capture_output=True, text=True, check=False, env=environ, cwd=tmp_path
    )
    assert run.returncode == 0, run.stderr[-3000:]
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        assert exit_code([*line.split(), "ours.jsonl"]) == 0
    finally:
        os.chdir(before)
    theirs, ours = (_rows(tmp_path / name) for name in ("theirs.jsonl", "ours.jsonl"))
    for our, their in zip(ours, theirs, strict=True):
        assert our["messages"].pop() == {"role": "assistant", "content": our["response"]}
        assert their["messages"].pop() == {"role": "assistant", "content": their["response"]}
        assert {name: our[name] for name in KEYS} == {name: their[name] for name in KEYS}
    answers = [[row["response"] for row in of_tool[:TRAINED]] for of_tool in (ours, theirs)]
    assert answers[0] == answers[1]
    shutil.rmtree(model)


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
