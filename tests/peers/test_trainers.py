"""Conversations as ms-swift and LLaMA-Factory load and encode them: photos, questions, answers."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from shenhe.checkpoints.merge import merge_adapters
from shenhe.cli.main import exit_code
from shenhe.config import load_prompts
from shenhe.exports import write_export
from shenhe.formats.desc import category
from tests.annotated import paint
from tests.peers.environments import MS_SWIFT, environment, installed_beside
from tests.peers.real_ids import add_video, with_real_ids

pytestmark = pytest.mark.peers
LLAMA_FACTORY = (
    *("--no-deps", "llamafactory==0.9.5", "omegaconf==2.4.0"),
    *("antlr4-python3-runtime==4.9.3", "av", "trl==0.24.0"),
)
"""What its loader imports beside what ms-swift brings along."""
END = "<|im_end|>\n"
SWIFT = """
import json, sys
from swift.dataset import load_dataset
from swift.model import get_processor
from swift.template import get_template
model, dataset = sys.argv[1:]
rows, _ = load_dataset(dataset, num_proc=1, load_from_cache_file=False, strict=True)
processor = get_processor(model, model_type="qwen3_vl", download_model=False)
template = get_template(processor)
template.set_mode("train")
tokens = processor.tokenizer
photo = tokens.convert_tokens_to_ids("<|image_pad|>")
seen = []
for row in rows:
    encoded = template.encode(row)
    ids, labels = encoded["input_ids"], encoded["labels"]
    text = tokens.decode([token for token in ids if token != photo])
    answer = tokens.decode([token for token in labels if token != -100])
    seen.append([text, answer, ids.count(photo) > 0])
print(json.dumps(seen))
"""
FACTORY = """
import json, sys
from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
from llamafactory.hparams import DataArguments, ModelArguments, TrainingArguments
from transformers import AutoProcessor
model, folder, output = sys.argv[1:]
processor = AutoProcessor.from_pretrained(model)
processor.image_max_pixels, processor.image_min_pixels = 80 * 1024, 4 * 1024
tokens = processor.tokenizer
data = DataArguments(dataset_dir=folder, dataset="shenhe", template="qwen3_vl_nothink")
template = get_template_and_fix_tokenizer(tokens, data)
training = TrainingArguments(output_dir=output, use_cpu=True)
models = ModelArguments(model_name_or_path=model)
rows = get_dataset(template, models, data, training, "sft", tokens, processor)["train_dataset"]
photo = tokens.convert_tokens_to_ids("<|image_pad|>")
seen = []
for row in rows:
    ids, labels = row["input_ids"], row["labels"]
    text = tokens.decode([token for token in ids if token != photo])
    answer = tokens.decode([token for token in labels if token != -100])
    seen.append([text, answer, ids.count(photo) > 0])
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    merge_adapters("demo", ["demo"], folder / "merged", dtype="float32")
    return with_real_ids(add_video(folder / "merged"), folder / "model")


@pytest.fixture(params=["plain", "domain"])
def data(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    photos = [paint(tmp_path / "照片 1" / name) for name in ("a b.jpg", "c.jpg")]
    write_export("training", photos, tmp_path / "rows.jsonl", category)
    command = ["convert", str(tmp_path / "rows.jsonl"), "--format", "messages"]
    command += ["--formats", request.param, "--output", str(tmp_path / "data")]
    assert exit_code(command) == 0
    return tmp_path / "data"


def _check(done: subprocess.CompletedProcess[str], data: Path) -> None:
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    rows = [json.loads(row) for row in (data / "train.jsonl").read_text("utf-8").splitlines()]
    for (text, answer, has_photo), row in zip(seen, rows, strict=True):
        system, user, assistant = (turn["content"] for turn in row["messages"])
        assert answer == assistant + END
        assert has_photo
        question = user.replace("<image>", "<|vision_start|><|vision_end|>")
        assert text == (
            f"<|im_start|>system\n{system}{END}<|im_start|>user\n{question}{END}"
            f"<|im_start|>assistant\n{answer}"
        )
        assert load_prompts().caption.system == system


def test_ms_swift_encodes_the_rows(data: Path, model: Path) -> None:
    python = environment("ms-swift", MS_SWIFT)
    environ = os.environ | {"ROOT_IMAGE_DIR": str(data)}
    environ |= {"IMAGE_MAX_TOKEN_NUM": "80", "IMAGE_MIN_TOKEN_NUM": "4"}
    words = [str(python), "-c", SWIFT, str(model), str(data / "train.jsonl")]
    _check(subprocess.run(words, capture_output=True, text=True, check=False, env=environ), data)


def test_llama_factory_encodes_the_rows(data: Path, model: Path, tmp_path: Path) -> None:
    python = environment("ms-swift", MS_SWIFT)
    folder = installed_beside("llamafactory", LLAMA_FACTORY)
    # It imports what reads sounds, which on some machines does not load, and calls nothing of it.
    sounds = tmp_path / "sounds" / "torchaudio.py"
    sounds.parent.mkdir()
    sounds.write_text('__version__ = "0"\n')
    environ = os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{sounds.parent}"}
    environ |= {"DISABLE_VERSION_CHECK": "1", "HF_DATASETS_CACHE": str(tmp_path / "cache")}
    words = [str(python), "-c", FACTORY, str(model), str(data), str(tmp_path / "out")]
    _check(subprocess.run(words, capture_output=True, text=True, check=False, env=environ), data)
