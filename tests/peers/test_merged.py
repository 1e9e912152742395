"""A merged checkpoint says the same in other engines, by the commands that docs/ gives."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import urllib.request
from pathlib import Path

import pytest

from shenhe.checkpoints.merge import merge_adapters
from shenhe.config import load_missions, load_prompts
from shenhe.engines.base import EngineSpec
from shenhe.engines.local.engine import LocalEngine
from shenhe.engines.options import LocalOptions
from shenhe.messages import Answer
from shenhe.photos import PixelBudget, load
from shenhe.stages import caption, summary
from tests.peers.environments import BESIDE_VLLM, MS_SWIFT, VLLM, environment
from tests.peers.real_ids import add_video, with_real_ids
from tests.servers.vllm_serve import vllm_serve

pytestmark = pytest.mark.peers
PHOTOS, TOKENS = 12, 400
Row = dict[str, str]


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("merged") / "merged"
    merge_adapters("demo", ["demo"], folder, dtype="float32")
    return add_video(folder)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory, demo_photos: list[Path]) -> list[Row]:
    """Photos as the model sees them, prompts, and what base and adapter answer here."""
    folder = tmp_path_factory.mktemp("photos")
    prompts, mission = load_prompts(), load_missions().get("挡风板安装检查")
    made, requests = [], []
    for number, path in enumerate(demo_photos[:: max(1, len(demo_photos) // PHOTOS)][:PHOTOS]):
        photo = folder / f"{number}.png"
        load(path, PixelBudget(4096, 81920)).image.save(photo)
        for template in (prompts.caption, prompts.summary):
            key = f"{number} {template.system}"
            made.append(
                {"key": key, "photo": str(photo), "system": template.system}
                | {"user": template.fill(mission)}
            )
        requests.append(caption.request(made[-2]["key"], [photo], prompts.caption, TOKENS))
        requests.append(summary.request(made[-1]["key"], photo, mission, prompts.summary, TOKENS))
    engine = LocalEngine(
        EngineSpec(
            model="demo", adapters=("demo",), batch_size=8, engine=LocalOptions(dtype="float32")
        )
    )
    said = {a.key: a.text for a in engine.answer(requests) if isinstance(a, Answer)}
    assert len(said) == 2 * PHOTOS
    return [row | {"said": said[row["key"]]} for row in made]


def test_ms_swift_says_the_same(merged: Path, rows: list[Row], tmp_path: Path) -> None:
    python = environment("ms-swift", MS_SWIFT)
    model = with_real_ids(merged, tmp_path / "merged")
    dataset, answers = tmp_path / "rows.jsonl", tmp_path / "answers.jsonl"
    lines = []
    for row in rows:
        user = f"图片_1: <image>\n{row['user']}"
        messages = [{"role": "system", "content": row["system"]}]
        messages.append({"role": "user", "content": user})
        lines.append(json.dumps({"messages": messages, "images": [row["photo"]]}))
    dataset.write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = [str(python.with_name("swift")), "infer", "--model", str(model)]
    command += ["--model_type", "qwen3_vl", "--infer_backend", "transformers"]
    command += ["--torch_dtype", "float32", "--val_dataset", str(dataset)]
    command += ["--result_path", str(answers), "--max_new_tokens", str(TOKENS)]
    command += ["--temperature", "0"]
    # The pixel budget of this checkpoint, in image tokens: ms-swift reads none from its files.
    environ = os.environ | {"IMAGE_MAX_TOKEN_NUM": "80", "IMAGE_MIN_TOKEN_NUM": "4"}
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    assert run.returncode == 0, run.stderr[-3000:]
    found = [json.loads(line) for line in answers.read_text(encoding="utf-8").splitlines()]
    assert [one["response"] for one in found] == [row["said"] for row in rows]


def test_vllm_says_the_same(merged: Path, rows: list[Row]) -> None:
    python = environment("vllm", VLLM, BESIDE_VLLM)
    with vllm_serve(python, merged, "--served-model-name", "merged") as url:
        said = [_ask(url, row) for row in rows]
    assert said == [row["said"] for row in rows]


def _ask(url: str, row: Row) -> str:
    photo = base64.b64encode(Path(row["photo"]).read_bytes()).decode()
    content = [
        {"type": "text", "text": "图片_1: "},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{photo}"}},
        {"type": "text", "text": "\n" + row["user"]},
    ]
    body = {
        "model": "merged",
        "messages": [
            {"role": "system", "content": row["system"]},
            {"role": "user", "content": content},
        ],
        "max_tokens": TOKENS,
        "temperature": 0,
        "skip_special_tokens": False,
    }
    request = urllib.request.Request(
        f"{url}/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=300) as answer:
        text: str = json.load(answer)["choices"][0]["message"]["content"]
    return text.removesuffix("<|im_end|>")
