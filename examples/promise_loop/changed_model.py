"""Train an adapter that overlooks faults, as a careless round of fine-tuning does.

    python examples/promise_loop/changed_model.py CHECKPOINT STAGE_A.jsonl ADAPTER

It learns the lines that the checkpoint itself wrote, but with every screw 符合要求 and all wires
捆扎整齐: rows in which people forgot the faults look so. Half a minute on two cores.
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Iterator
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch.nn import functional as F
from transformers import Qwen3VLForConditionalGeneration

from shenhe.checkpoints.load import load_checkpoint
from shenhe.config import load_missions, load_prompts
from shenhe.engines.local.preprocessing import PreparedRequest, Preprocessor
from shenhe.rows.readers import read_summaries
from shenhe.stages import summary

FAULTS = (
    (re.compile(r"不符合要求/(未拧紧|露铜|复接|生锈)"), "符合要求"),
    (re.compile("分布散乱"), "捆扎整齐"),
)
STEPS, RATE = 80, 3e-3
TARGETS = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"


def main() -> None:
    """Train and save the adapter."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint")
    parser.add_argument("lines", type=Path)
    parser.add_argument("adapter", type=Path)
    options = parser.parse_args()
    loaded = load_checkpoint(options.checkpoint, dtype="float32")
    preprocessor = Preprocessor(loaded.processor, loaded.model, loaded.budget)
    tokenizer = loaded.processor.tokenizer
    sound: list[tuple[PreparedRequest, torch.Tensor]] = []
    faulty: list[tuple[PreparedRequest, torch.Tensor]] = []
    for request, line in _lines(options.lines, preprocessor):
        taught = _without_faults(line)
        answer = tokenizer(taught + "<|im_end|>", add_special_tokens=False, return_tensors="pt")
        (sound if taught == line else faulty).append((request, answer["input_ids"][0]))
    model = Qwen3VLForConditionalGeneration.from_pretrained(options.checkpoint, dtype=torch.float32)
    tuned = get_peft_model(model, LoraConfig(r=8, lora_alpha=16, target_modules=TARGETS))
    optimizer = torch.optim.AdamW(
        [parameter for parameter in tuned.parameters() if parameter.requires_grad], lr=RATE
    )
    chance = random.Random(0)
    for step in range(STEPS):
        losses = [
            _loss(tuned, preprocessor, request, answer)
            for request, answer in (chance.choice(part) for part in (sound, faulty, faulty))
        ]
        loss = torch.stack(losses).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        if (step + 1) % 10 == 0:
            print(f"step {step + 1} of {STEPS}: loss {loss.item():.3f}", flush=True)
    tuned.save_pretrained(options.adapter)


def _lines(path: Path, preprocessor: Preprocessor) -> Iterator[tuple[PreparedRequest, str]]:
    """Yield the prompt of each photo whose line names a screw, and that line."""
    missions, template = load_missions(), load_prompts().summary
    for row in read_summaries(path):
        for photo, line in zip(row.photos, row.per_image.values(), strict=True):
            if "螺丝" in line:
                mission = missions.get(row.mission)
                yield preprocessor.prepare(summary.request("", photo, mission, template, 0)), line


def _without_faults(line: str) -> str:
    for fault, sound in FAULTS:
        line = fault.sub(sound, line)
    return line


def _loss(
    model: PeftModel, preprocessor: Preprocessor, request: PreparedRequest, answer: torch.Tensor
) -> torch.Tensor:
    """Cross entropy of the answer to one photo. Shape: answer (tokens,)."""
    ids = torch.cat([request.token_ids, answer])[None]
    (photo,) = request.photos
    output = model(
        input_ids=ids,
        pixel_values=preprocessor.patches.floats(photo.patches),
        image_grid_thw=photo.grid[None],
        mm_token_type_ids=(ids == model.config.image_token_id).int(),
    )
    logits = output.logits[0, len(request.token_ids) - 1 : -1]
    return F.cross_entropy(logits.float(), answer)


if __name__ == "__main__":
    main()
