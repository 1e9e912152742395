"""Rewards: by hand, through TRL's trainer on the bundled checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
import torch

from shenhe import rewards
from shenhe.checkpoints.load import load_checkpoint
from shenhe.stage_b import build_stage_b_messages
from shenhe.values import Label

GOOD = "通过\n理由: 图片_1中BBU安装螺丝显示完整，符合要求"
LINE = "BBU设备/华为/显示完整×1，螺丝、光纤插头/BBU安装螺丝/显示完整/符合要求×2"
BAD_LINE = "螺丝、光纤插头/BBU安装螺丝/显示完整/不符合要求/未拧紧×1"


def test_formats_are_those_of_the_parser() -> None:
    caption = '{"图片_1": {"object_1": {"bbox_2d": [1, 2, 30, 40], "desc": "BBU设备"}}}'
    assert rewards.caption_format([caption, "{}", f"```{caption}```"]) == [1, 0, 0]
    assert rewards.caption_format([caption, caption], images=[["a.jpg"], ["a", "b"]]) == [1, 0]
    assert rewards.summary_format(["无关图片", "a\nb", ""]) == [1, 0, 0]
    assert rewards.verdict_format([GOOD, "通过。\n理由: 好", "通过"]) == [1, 0, 0]


def test_conversations_are_read_as_texts_are() -> None:
    conversation = [{"role": "assistant", "content": GOOD}]
    parts = [{"role": "assistant", "content": [{"type": "text", "text": GOOD}]}]
    assert rewards.verdict_format([conversation, parts, []], prompts=[], trainer_state=None) == [
        1,
        1,
        0,
    ]


def test_a_false_pass_is_worse_than_saying_nothing() -> None:
    fail = "不通过\n理由: 图片_1中BBU安装螺丝未拧紧"
    texts = [GOOD, GOOD, fail, fail, "待定\n理由: 看不清", GOOD]
    labels: list[Label | None] = ["pass", "fail", "fail", "pass", "fail", None]
    assert rewards.verdict_right(texts, labels) == [1, -1, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("text", "worth"),
    [
        (GOOD, 1.0),
        ("通过\n理由: 图片_1中BBU安装螺丝显示完整，图片_2中机柜处接地螺丝符合要求", 0.5),
        ("不通过\n理由: 图片_2中BBU安装螺丝未拧紧", 1.0),
        ("不通过\n理由: 图片_1中BBU安装螺丝未拧紧", 0.5),
        ("不通过\n理由: BBU安装螺丝不符合要求", 1.0),
        ("不通过\n理由: 图片_1看不清", 0.5),
        ("不通过\n理由: 看不清", 0.0),
        ("通过\n理由: 图片_2中BBU安装螺丝未拧紧", 0.0),
        ("不通过\n理由: 图片_3中BBU安装螺丝未拧紧", 0.0),
        ("通过", 0.0),
    ],
)
def test_a_reason_stands_on_the_lines(text: str, worth: float) -> None:
    lines = {"图片_1": LINE, "图片_2": BAD_LINE}
    forms: list[Any] = [lines, {**lines, "图片_3": None}, [LINE, BAD_LINE], json.dumps(lines)]
    assert rewards.reason_grounded([text] * 4, forms) == [worth] * 4


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::ResourceWarning")
def test_grpo_with_trl_writes_more_verdicts_that_are_well_formed(tmp_path: Path) -> None:
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    lines = [
        "BBU设备/华为/显示完整/无需安装×1",
        "BBU设备/中兴/显示完整/机柜空间充足需要安装/未按要求配备挡风板×1",
        "挡风板/华为/显示完整/安装方向正确×1",
        "挡风板/华为/显示完整/安装方向错误×1",
    ]
    rows = [
        {
            "prompt": build_stage_b_messages({"图片_1": line}, "挡风板安装检查"),
            "label": label,
            "lines": [line],
        }
        for line, label in zip(lines, ("pass", "fail", "pass", "fail"), strict=True)
    ]
    loaded = load_checkpoint("demo", ("demo",), dtype="float32")
    for weight in loaded.model.parameters():
        weight.requires_grad_(True)
    # Hot enough for half of what is written to be malformed at first.
    config = GRPOConfig(
        output_dir=str(tmp_path),
        use_cpu=True,
        bf16=False,
        per_device_train_batch_size=64,
        num_generations=16,
        max_completion_length=32,
        temperature=2.0,
        learning_rate=5e-4,
        beta=0.0,
        max_steps=12,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        seed=1,
        disable_tqdm=True,
    )
    trainer = GRPOTrainer(
        model=loaded.model,
        reward_funcs=[rewards.verdict_format, rewards.verdict_right, rewards.reason_grounded],
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=loaded.processor.tokenizer,
    )
    trainer.reward_weights = torch.tensor([1.0, 0.2, 0.2])
    trainer.train()
    logs = [log for log in trainer.state.log_history if "rewards/verdict_format/mean" in log]
    formats = [log["rewards/verdict_format/mean"] for log in logs]
    assert len(formats) == 12
    assert mean(formats[:3]) < 0.75
    assert mean(formats[-3:]) > mean(formats[:3]) + 0.05
    assert all("rewards/reason_grounded/mean" in log for log in logs)
