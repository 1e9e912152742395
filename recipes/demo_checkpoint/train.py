"""Train the demo checkpoint: the tower, then the base, then the adapter. Resumable.

    python -m recipes.demo_checkpoint.train --build .demo-build --output src/shenhe/demo/checkpoint

Every phase keeps its state in the build folder every few hundred steps; the same command goes on
from there. On two cores the whole takes about two hours.
"""

from __future__ import annotations

import argparse
import math
import random
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedTokenizerFast, Qwen3VLForConditionalGeneration
from transformers.models.qwen3_vl.modeling_qwen3_vl import apply_rotary_pos_emb_vision

from recipes.demo_checkpoint.groups import GROUND, KINDS_OF, make_group
from recipes.demo_checkpoint.lessons import (
    IMAGE,
    MISSION_OF,
    Lesson,
    caption_lesson,
    summary_lesson,
    tokenizer_texts,
    verdict_lesson,
)
from recipes.demo_checkpoint.model import make_model, train_tokenizer, write_processor_files
from recipes.demo_checkpoint.photos import GRID, IMAGE_TOKENS, PhotoSet, render_split
from recipes.demo_checkpoint.scenes import Scene
from recipes.demo_checkpoint.tower import CellHead

GROUND_KINDS = KINDS_OF[GROUND]
# Photos of a kind are drawn as often as it stands here.
PHOTO_KINDS = (
    *("install", "ground_cabinet", "fibre_bbu", "baffle", "ground_bar", "fibre_odf"),
    *("install", "fibre_odf", "baffle", "fibre_bbu", "ground_bar", "install", "baffle", "nothing"),
)

MUON_RATE = 2.5
"""Muon's rate against AdamW's."""
HELD = 64
"""Photos that are kept from learning, to tell how it goes."""
Features = tuple[torch.Tensor, list[torch.Tensor]]
"""What the tower sees: (photos, cells, width), and a list of the same for deepstack."""


@dataclass(frozen=True, slots=True)
class Phase:
    """How long and how fast one phase learns; a verdict batch is text only."""

    name: str
    steps: int
    photos: int
    rate: float
    tower_rate: float
    groups: int = 0


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    options.build.mkdir(parents=True, exist_ok=True)
    photos = render_split(options.build, "train", options.photos, PHOTO_KINDS)
    tokenizer = _tokenizer(options.build)
    model = make_model(tokenizer)
    _quicken(model.model.visual)

    tower = Phase("tower", options.tower_steps, 32, 1.5e-3, 1.5e-3)
    cells = _TowerStep(model, photos)
    _learn(tower, cells, model.model.visual, options.build)
    if options.until == "tower":
        return
    # Unfused attention is the faster one here, and compiling the layers saves a fifth more.
    model.model.language_model.set_attn_implementation("eager")
    if options.compile:
        for layer in model.model.language_model.layers:
            layer.compile(dynamic=True)
    known = [i for i, scene in enumerate(photos.scenes) if scene.kind not in GROUND_KINDS]
    base = Phase("base", options.base_steps, 16, 1.5e-3, 5e-4, groups=12)
    ground = [i for i, scene in enumerate(photos.scenes) if scene.kind in GROUND_KINDS]
    step = _LanguageStep(model, tokenizer, photos, known, base, cells.head, ground)
    _learn(base, step, model, options.build)
    _save_base(model, tokenizer, options.output / "base")
    if options.until == "base":
        return

    tuned = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules=LANGUAGE_TARGETS))
    adapter = Phase("adapter", options.adapter_steps, 16, 2e-3, 2e-3)
    mixed = ground + known[: len(ground) // 2]
    _learn(adapter, _LanguageStep(model, tokenizer, photos, mixed, adapter), tuned, options.build)
    _save_adapter(tuned, options.output / "adapter")


LANGUAGE_TARGETS = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=Path(".demo-build"))
    parser.add_argument("--output", type=Path, default=Path("src/shenhe/demo/checkpoint"))
    parser.add_argument("--photos", type=int, default=16800)
    parser.add_argument("--tower-steps", type=int, default=2400)
    parser.add_argument("--base-steps", type=int, default=2000)
    parser.add_argument("--adapter-steps", type=int, default=600)
    parser.add_argument("--until", choices=("tower", "base", "adapter"), default="adapter")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def _tokenizer(build: Path) -> PreTrainedTokenizerFast:
    folder = build / "tokenizer"
    if not folder.exists():
        train_tokenizer(tokenizer_texts()).save_pretrained(folder)
    return PreTrainedTokenizerFast.from_pretrained(folder)


def _quicken(tower: Any) -> None:
    """Compute the same tower faster: photos of one size, the patch embedding as a product.

    conv3d and one attention call a photo are slow on a CPU, and the two time steps of a still
    photo are equal, so that their weights can be added up beforehand.
    """
    conv = tower.patch_embed.proj

    def embed(patches: torch.Tensor) -> torch.Tensor:
        # The sums of a residual stream in bfloat16 would round away where exactly an edge lies.
        return F.linear(patches, conv.weight.sum(2).flatten(1), conv.bias).float()

    tower.patch_embed.forward = embed
    for block in tower.blocks:
        block.attn.forward = partial(_attend, block.attn)


def _attend(
    attention: Any,
    hidden_states: torch.Tensor,
    position_embeddings: tuple[torch.Tensor, torch.Tensor],
    **_: object,
) -> torch.Tensor:
    """Vision attention over a batch of photos of the one size."""
    tokens = GRID[1] * GRID[2]
    qkv = attention.qkv(hidden_states).view(-1, 3, attention.num_heads, attention.head_dim)
    query, key = apply_rotary_pos_emb_vision(qkv[:, 0], qkv[:, 1], *position_embeddings)
    query, key, value = (
        part.reshape(-1, tokens, *part.shape[1:]).transpose(1, 2)
        for part in (query, key, qkv[:, 2])
    )
    scores = (query * attention.scaling).to(value.dtype) @ key.to(value.dtype).transpose(-1, -2)
    out = scores.softmax(-1).to(value.dtype) @ value
    result: torch.Tensor = attention.proj(out.transpose(1, 2).reshape(hidden_states.shape))
    return result


# --- the loop -------------------------------------------------------------------------------


def _learn(
    phase: Phase, step: Callable[[int], dict[str, torch.Tensor]], module: nn.Module, build: Path
) -> None:
    """Run a phase from its last state to its end, printing what it learns."""
    path = build / f"{phase.name}.pt"
    extra = getattr(step, "head", None)
    optimizers = _optimizers(module, extra, phase)
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    done = 0
    if path.exists():
        state = torch.load(path, weights_only=True)
        module.load_state_dict(state["module"])
        for optimizer, kept in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        if extra:
            extra.load_state_dict(state["extra"])
        done = state["done"]
    began = time.monotonic()
    seen: dict[str, float] = {}
    for number in range(done, phase.steps):
        for group in groups:
            group["lr"] = group["rate"] * _schedule(number, phase.steps)
        with torch.autocast("cpu", torch.bfloat16):
            losses = step(number)
        loss = torch.stack(list(losses.values())).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_([p for group in groups for p in group["params"]], 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        for name, value in losses.items():
            seen[name] = 0.95 * seen.get(name, value.item()) + 0.05 * value.item()
        ended = number + 1 == phase.steps
        if (number + 1) % 50 == 0:
            pace = (time.monotonic() - began) / (number + 1 - done)
            told = "  ".join(f"{name} {value:.4f}" for name, value in seen.items())
            left = pace * (phase.steps - number - 1) / 60
            print(f"{phase.name} {number + 1}/{phase.steps}  {told}  "
                  f"{pace:.2f} s/step, {left:.0f} min left", flush=True)  # fmt: skip
        if (number + 1) % 250 == 0 or ended:
            state = {
                "module": module.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in optimizers],
                "extra": extra.state_dict() if extra else {},
                "done": number + 1,
            }
            torch.save(state, path.with_suffix(".new"))
            path.with_suffix(".new").rename(path)
            if report := getattr(step, "report", None):
                with torch.autocast("cpu", torch.bfloat16):
                    print(report(), flush=True)


def _optimizers(
    module: nn.Module, head: nn.Module | None, phase: Phase
) -> list[torch.optim.Optimizer]:
    """AdamW, with Muon for the matrices of the layers: the same loss in about half the steps."""
    plain: list[dict[str, Any]] = []
    matrices: list[dict[str, Any]] = []
    if head:
        plain.append({"params": list(head.parameters()), "rate": phase.rate})
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        in_tower = "visual" in name or phase.name == "tower"
        rate = phase.tower_rate if in_tower else phase.rate
        inner = parameter.ndim == 2 and re.search(r"blocks|layers|merger", name)
        if inner and "lora" not in name:
            matrices.append({"params": [parameter], "rate": MUON_RATE * rate})
        else:
            plain.append({"params": [parameter], "rate": rate})
    found: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(plain, lr=0.0, weight_decay=0.01, betas=(0.9, 0.98))
    ]
    if matrices:
        muon = torch.optim.Muon(matrices, lr=0.0, weight_decay=0.01, adjust_lr_fn="match_rms_adamw")
        found.append(muon)
    return found


def _schedule(step: int, steps: int) -> float:
    warm = min(1.0, (step + 1) / 100)
    return warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / steps)))


def _features(model: Qwen3VLForConditionalGeneration, patches: torch.Tensor) -> Features:
    """Run the tower over the patches of photos."""
    count = len(patches) // (GRID[1] * GRID[2])
    seen = model.model.visual(patches, grid_thw=torch.tensor([GRID] * count))
    deep = [feature.view(count, IMAGE_TOKENS, -1) for feature in seen.deepstack_features]
    return seen.pooler_output.view(count, IMAGE_TOKENS, -1), deep


def _first(features: Features, count: int) -> Features:
    """Keep the first photos alone."""
    last, deep = features
    return last[:count], [feature[:count] for feature in deep]


def _cells(features: Features) -> torch.Tensor:
    """What the language model gets of each cell, added up over the layers it gets it in."""
    last, deep = features
    return torch.stack([last, *deep]).sum(0)


class _TowerStep:
    """Cells of photos against what they show."""

    def __init__(self, model: Qwen3VLForConditionalGeneration, photos: PhotoSet) -> None:
        self.model, self.photos = model, photos
        self.head = CellHead(model.config.text_config.hidden_size)

    def _cells(self, indices: Sequence[int]) -> torch.Tensor:
        return _cells(_features(self.model, self.photos.patches(indices)))

    def __call__(self, number: int) -> dict[str, torch.Tensor]:
        indices = random.Random(number).sample(range(len(self.photos.scenes) - HELD), 32)
        cells = self._cells(indices).float()
        return self.head.loss(cells, [self.photos.scenes[i] for i in indices])

    @torch.no_grad()
    def report(self) -> str:
        held = range(len(self.photos.scenes) - HELD, len(self.photos.scenes))
        scenes = [self.photos.scenes[i] for i in held]
        accuracy = self.head.accuracy(self._cells(held), scenes)
        return "  held out: " + " ".join(f"{name} {value:.2f}" for name, value in accuracy.items())


class _LanguageStep:
    """Captions and lines of the same photos, and verdicts, in one step."""

    def __init__(
        self,
        model: Qwen3VLForConditionalGeneration,
        tokenizer: PreTrainedTokenizerFast,
        photos: PhotoSet,
        indices: list[int],
        phase: Phase,
        head: CellHead | None = None,
        seen_only: Sequence[int] = (),
    ) -> None:
        """Learn the photos at `indices`; those at `seen_only` keep the tower in practice."""
        self.model, self.tokenizer, self.photos = model, tokenizer, photos
        self.indices, self.held = indices[:-HELD], indices[-HELD:]
        self.phase, self.head, self.seen_only = phase, head, seen_only

    def __call__(self, number: int) -> dict[str, torch.Tensor]:
        rng = random.Random(f"{self.phase.name}/{number}")
        chosen = rng.sample(self.indices, self.phase.photos)
        scenes = [self.photos.scenes[i] for i in chosen]
        extra = rng.sample(self.seen_only, 4) if self.head else []
        everything = _features(self.model, self.photos.patches([*chosen, *extra]))
        features = _first(everything, len(chosen))
        lines = [summary_lesson(scene, _mission(scene, rng)) for scene in scenes]
        losses = {
            "caption": self._loss([caption_lesson(scene) for scene in scenes], features),
            "summary": 0.6 * self._loss(lines, features),
        }
        if self.head:  # the tower goes on with its own lesson, which is the denser one
            cells = _cells(everything).float()
            scenes += [self.photos.scenes[i] for i in extra]
            losses["cells"] = 0.5 * sum(self.head.loss(cells, scenes).values(), torch.zeros(()))
        if self.phase.groups:
            groups = [
                make_group(rng.choice(list(KINDS_OF)), f"train/{rng.getrandbits(48)}", True)
                for _ in range(self.phase.groups)
            ]
            losses["verdict"] = 0.6 * self._loss([verdict_lesson(group) for group in groups], None)
        return losses

    @torch.no_grad()
    def report(self) -> str:
        """Tell the share of held-out answers that greedy decoding would write exactly."""
        rng = random.Random(0)
        scenes = [self.photos.scenes[i] for i in self.held]
        features = _features(self.model, self.photos.patches(self.held))
        lines = [summary_lesson(scene, _mission(scene, rng)) for scene in scenes]
        groups = [make_group(rng.choice(list(KINDS_OF)), f"held/{i}") for i in range(HELD)]
        return "  held out: " + "  ".join(
            f"{name} {self._exact(lessons, seen)}"
            for name, lessons, seen in (
                ("captions", [caption_lesson(scene) for scene in scenes], features),
                ("lines", lines, features),
                ("verdicts", [verdict_lesson(group) for group in groups], None),
            )
        )

    def _exact(self, lessons: list[Lesson], features: Features | None) -> str:
        batch = _batch(lessons, self.tokenizer)
        wanted = batch.weights[:, 1:] > 0
        said = self.model.lm_head(self._states(batch, features)[:, :-1]).argmax(-1)
        right = said == batch.ids[:, 1:]
        whole = (right | ~wanted).all(1).float().mean()
        return f"{whole:.2f} (tokens {right[wanted].float().mean():.3f})"

    def _loss(self, lessons: list[Lesson], features: Features | None) -> torch.Tensor:
        """Weighted cross entropy of the answers."""
        batch = _batch(lessons, self.tokenizer)
        wanted = batch.weights[:, 1:] > 0
        out = self._states(batch, features)[:, :-1]
        logits = self.model.lm_head(out[wanted]).float()
        each = F.cross_entropy(logits, batch.ids[:, 1:][wanted], reduction="none")
        weights = batch.weights[:, 1:][wanted]
        loss: torch.Tensor = (each * weights).sum() / weights.sum()
        return loss

    def _states(self, batch: SimpleNamespace, features: Features | None) -> torch.Tensor:
        """Run the language model. Shape: (lessons, longest, width)."""
        core = self.model.model
        embeds = core.get_input_embeddings()(batch.ids)
        deep, mask = None, None
        if features is not None:
            last, deep = features
            mask = batch.ids == self.model.config.image_token_id
            embeds = embeds.masked_scatter(mask.unsqueeze(-1), last.to(embeds.dtype))
            deep = [feature.flatten(0, 1) for feature in deep]
        states: torch.Tensor = core.language_model(
            inputs_embeds=embeds,
            position_ids=_positions(batch.ids, self.model.config.image_token_id),
            visual_pos_masks=mask,
            deepstack_visual_embeds=deep,
            use_cache=False,
        ).last_hidden_state
        return states


def _mission(scene: Scene, rng: random.Random) -> str:
    """The mission a photo belongs to; one of nothing relevant turns up in any."""
    return MISSION_OF.get(scene.kind) or rng.choice(list(KINDS_OF))


def _batch(lessons: list[Lesson], tokenizer: PreTrainedTokenizerFast) -> SimpleNamespace:
    """Pad lessons on the right. Shape: ids and weights (lessons, longest)."""
    rows = []
    for lesson in lessons:
        prompt = lesson.prompt.replace(
            IMAGE, IMAGE.replace("<|image_pad|>", "<|image_pad|>" * IMAGE_TOKENS)
        )
        head = tokenizer(prompt, add_special_tokens=False).input_ids
        answer = tokenizer(lesson.answer, add_special_tokens=False, return_offsets_mapping=True)
        values = [lesson.weights[start] for start, _ in answer.offset_mapping]
        end = tokenizer.eos_token_id
        rows.append((head + answer.input_ids + [end], [0.0] * len(head) + values + [2.0]))
    longest = max(len(ids) for ids, _ in rows)
    ids = np.full((len(rows), longest), tokenizer.pad_token_id)
    weights = np.zeros((len(rows), longest), np.float32)
    for index, (row, values) in enumerate(rows):
        ids[index, : len(row)] = row
        weights[index, : len(row)] = values
    return SimpleNamespace(ids=torch.from_numpy(ids), weights=torch.from_numpy(weights))


def _positions(ids: torch.Tensor, image_token: int) -> torch.Tensor:
    """M-RoPE positions of right-padded rows with at most one photo. Shape: (3, rows, length)."""
    length = ids.shape[1]
    positions = torch.arange(length).expand(3, *ids.shape).clone()
    rows, columns = GRID[1] // 2, GRID[2] // 2
    for row, start in enumerate((ids == image_token).int().argmax(1).tolist()):
        if ids[row, start] != image_token:
            continue
        cell = torch.arange(IMAGE_TOKENS)
        end = start + IMAGE_TOKENS
        positions[0, row, start:end] = start
        positions[1, row, start:end] = start + cell // columns
        positions[2, row, start:end] = start + cell % columns
        positions[:, row, end:] = torch.arange(length - end) + start + max(rows, columns)
    return positions


def _save_base(
    model: Qwen3VLForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, folder: Path
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    model.to(torch.bfloat16).save_pretrained(folder)
    model.float().load_state_dict(kept)
    tokenizer.save_pretrained(folder)
    write_processor_files(folder)


def _save_adapter(tuned: PeftModel, folder: Path) -> None:
    tuned.peft_config["default"].base_model_name_or_path = "demo"
    tuned.to(torch.bfloat16).save_pretrained(folder)
    (folder / "README.md").unlink()  # PEFT's form of a model card, not filled in


if __name__ == "__main__":
    main()
