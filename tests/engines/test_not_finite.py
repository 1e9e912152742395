"""Scores that are not finite: a local model stops the run, and decides nothing by them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from shenhe.checkpoints import find_checkpoint
from shenhe.config import load_missions, load_prompts
from shenhe.engines.base import EngineSpec
from shenhe.engines.local.engine import LocalEngine
from shenhe.engines.logprobs import are_plausible, is_logprob
from shenhe.engines.options import LocalOptions
from shenhe.errors import EngineError
from shenhe.messages import Request
from shenhe.stages import caption, summary, verdict
from tests.warm import SHENHE

MISSION = load_missions().get("挡风板安装检查")
PROMPTS = load_prompts()
NAN = float("nan")
NO_NUMBERS = "scores are no numbers .* in float32.: a weight .* is damaged, see shenhe verify"


def _engine(**options: object) -> LocalEngine:
    engine = LocalOptions(dtype="float32", speculate=bool(options.pop("speculate", False)))
    return LocalEngine(EngineSpec(model="demo", engine=engine, **options))  # type: ignore[arg-type]


def _requests(photos: list[Path]) -> list[Request]:
    lines = [summary.request(p.name, p, MISSION, PROMPTS.summary, 24) for p in photos[:3]]
    return [
        *lines,
        caption.request("caption", photos[:1], PROMPTS.caption, 64),
        verdict.request("verdict", {"图片_1": "螺丝"}, MISSION, PROMPTS.verdict, 24),
    ]


def _base(engine: LocalEngine) -> Any:
    """The model's own class, whose layers have no types."""
    return engine._base


def _nan_weight(engine: LocalEngine) -> None:
    _base(engine).model.language_model.layers[0].mlp.down_proj.weight[3, 5] = NAN


def _overflow(engine: LocalEngine) -> None:
    """As a model trained in bfloat16 overflows in float16."""
    _base(engine).model.language_model.norm.weight.mul_(1e38)


def _one_score(engine: LocalEngine) -> None:
    """A token that is never the best, and yet not finite."""
    head = torch.nn.Parameter(_base(engine).lm_head.weight.clone())
    head[7].fill_(-1e38)
    head[7].mul_(1e38)
    _base(engine).lm_head.weight = head


def _eye(engine: LocalEngine) -> None:
    """In the vision tower alone."""
    _base(engine).model.visual.patch_embed.proj.bias[0] = NAN


@pytest.mark.parametrize("spoil", [_nan_weight, _overflow, _one_score, _eye])
@pytest.mark.parametrize("options", [{"batch_size": 4}, {"constrain": False, "speculate": True}])
def test_a_model_with_scores_that_are_not_finite_stops(
    spoil: Callable[[LocalEngine], None], options: dict[str, object], demo_photos: list[Path]
) -> None:
    engine = _engine(**options)
    with torch.inference_mode():
        spoil(engine)
    with pytest.raises(EngineError, match=NO_NUMBERS):
        list(engine.answer(_requests(demo_photos)))
    with pytest.raises(EngineError, match=NO_NUMBERS):
        list(engine.stream(_requests(demo_photos)[0]))
    with pytest.raises(EngineError, match=NO_NUMBERS):
        engine.next_logits(_requests(demo_photos)[0])


@pytest.mark.parametrize("constrain", [True, False])
def test_a_later_token_may_be_the_first_to_show_it(
    constrain: bool, demo_photos: list[Path]
) -> None:
    engine = _engine(constrain=constrain)
    request = summary.request("k", demo_photos[0], MISSION, PROMPTS.summary, 24)
    (answer,) = engine.answer([request])
    third = engine._tokenizer(answer.text, add_special_tokens=False)["input_ids"][2]  # type: ignore[union-attr]
    with torch.inference_mode():
        base = _base(engine)
        base.lm_head.weight = torch.nn.Parameter(base.lm_head.weight.clone())
        base.get_input_embeddings().weight[third] = NAN
    stream = engine.stream(request)
    assert next(stream)
    with pytest.raises(EngineError, match=NO_NUMBERS):
        list(stream)


def test_a_damaged_checkpoint_decides_nothing(tree: Path, tmp_path: Path) -> None:
    base, out = tmp_path / "base", tmp_path / "out"
    shutil.copytree(find_checkpoint("demo").folder, base)
    (weights,) = base.glob("*.safetensors")
    tensors = load_file(weights)
    name = next(n for n in tensors if n.endswith("layers.1.mlp.up_proj.weight"))
    tensors[name][0, 0] = NAN
    save_file(tensors, weights, {"format": "pt"})
    options = ["--data-root", str(tree), "--mission", MISSION.name, "--output-dir", str(out)]
    run = subprocess.run(
        [*SHENHE, "summarize", "--model", str(base), *options],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 2
    assert "no numbers" in run.stderr or "NaN" in run.stderr
    assert "Traceback" not in run.stderr
    assert not any(path.read_text("utf-8") for path in out.glob(f"{MISSION.name}.jsonl"))


@pytest.mark.parametrize(
    "value",
    [NAN, float("inf"), -float("inf"), 0.9, None, "-0.1", True, [-0.1], -(10**400), 10**400],
)
def test_values_that_are_no_log_probability(value: object) -> None:
    assert not is_logprob(value)
    assert not are_plausible([-0.1, value])


def test_implausible_top_tokens() -> None:
    assert are_plausible([-0.1, -2.4, -9999.0])
    assert are_plausible([0.0, -30])
    assert not are_plausible([])
    assert not are_plausible([-9999.0, -9999.0])
    assert not are_plausible([0.0, 0.0])
