"""The recipe of the bundled checkpoint: what it teaches is true, and what it made is small."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoTokenizer

from recipes.demo_checkpoint.draw import draw
from recipes.demo_checkpoint.groups import FIBRE, KINDS_OF, judge, make_group
from recipes.demo_checkpoint.lessons import (
    PROMPTS,
    as_text,
    caption_lesson,
    photo_scene,
    summary_lesson,
    verdict_lesson,
)
from recipes.demo_checkpoint.photos import PhotoSet, seen_by_model
from recipes.demo_checkpoint.scenes import CANVAS, KINDS, TOP_GAP, make_scene
from recipes.demo_checkpoint.train import _positions
from shenhe.checkpoints.inspect import DEMO_FOLDER
from shenhe.checkpoints.load import load_checkpoint
from shenhe.engines.prompts import as_template_message
from shenhe.formats import caption, verdict
from shenhe.geometry import Size
from shenhe.photos import PixelBudget, load
from shenhe.stages import caption as caption_stage

GOOD_PLUGS = [f"螺丝、光纤插头/{end}端光纤插头/显示完整/符合要求×1" for end in ("BBU", "ODF")]
GOOD_FIBRE = "光纤/有保护措施/铠装/弯曲半径合理×1"


@pytest.mark.parametrize("kind", KINDS)
def test_scenes_are_their_seeds_and_can_be_told(kind: str) -> None:
    for index in range(12):
        scene = make_scene(kind, f"t{index}")
        assert scene == make_scene(kind, f"t{index}")
        assert caption.parse(caption.render(scene.caption)) == scene.caption
        tops = [thing.bounds[1] for thing in scene.things]
        assert all(b - a >= TOP_GAP for a, b in pairwise(tops))


def test_photos_are_what_training_saw(tmp_path: Path) -> None:
    """The pixels of training and those that `photos` hands to an engine are the same."""
    scene = make_scene("install", "same")
    draw(scene).save(tmp_path / "a.png")
    budget = PixelBudget(64 * 64, CANVAS.width * CANVAS.height)
    photo = load(tmp_path / "a.png", budget)
    assert photo.sizes.resized_wh == CANVAS
    assert np.array_equal(np.asarray(photo.image), seen_by_model(scene))


def test_patches_are_those_of_the_processor() -> None:
    processor = load_checkpoint("demo").processor
    pixels = seen_by_model(make_scene("baffle", "patches"))
    ours = PhotoSet([], pixels[None]).patches([0])
    theirs = processor.image_processor(
        [Image.fromarray(pixels)], do_resize=False, return_tensors="pt"
    )["pixel_values"]
    undoubled = theirs.view(len(theirs), 3, 2, 256)[:, :, 0].reshape(len(theirs), -1)
    torch.testing.assert_close(ours.float(), undoubled, atol=0.01, rtol=0)


def test_positions_are_those_of_the_model() -> None:
    loaded = load_checkpoint("demo")
    config = loaded.model.config
    ids = torch.full((2, 100), 40)
    ids[0, 7:87] = config.image_token_id
    kinds = (ids == config.image_token_id).int()
    theirs, _ = loaded.model.model.get_rope_index(ids, kinds, torch.tensor([[1, 16, 20]]))
    assert torch.equal(_positions(ids, config.image_token_id), theirs)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([*GOOD_PLUGS, GOOD_FIBRE], "通过\n理由: 图片_1中BBU端光纤插头符合要求"),
        (GOOD_PLUGS, "不通过\n理由: 图片_1至图片_2未见光纤"),
        ([GOOD_PLUGS[0], GOOD_FIBRE], "不通过\n理由: 图片_1至图片_2未见ODF端光纤插头"),
        ([*GOOD_PLUGS, "光纤/无保护措施/弯曲半径合理×1"], "不通过\n理由: 图片_3中光纤无保护措施"),
        (
            [*GOOD_PLUGS, f"{GOOD_FIBRE}，备注: 照片模糊"],
            "不通过\n理由: 图片_3的备注有疑问: 照片模糊",
        ),
        (["无关图片"], "不通过\n理由: 图片_1至图片_1未见BBU端光纤插头"),
    ],
)
def test_the_rule_of_a_mission(lines: list[str], said: str) -> None:
    assert verdict.render(judge(FIBRE, lines)).startswith(said)


def test_the_tokenizer_keeps_digits_single_and_loses_nothing() -> None:
    tokenizer = AutoTokenizer.from_pretrained(DEMO_FOLDER / "base")
    assert len(tokenizer("1234567890", add_special_tokens=False).input_ids) == 10
    for index in range(20):
        text = caption.render(photo_scene("tokens", index).caption) + "罕见字龘😀"
        assert tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids) == text


def test_lessons_are_what_the_chat_template_makes() -> None:
    tokenizer = AutoTokenizer.from_pretrained(DEMO_FOLDER / "base")
    messages = caption_stage.request("", [Path()], PROMPTS.caption).messages
    made = tokenizer.apply_chat_template(
        [as_template_message(message) for message in messages],
        tokenize=False,
        add_generation_prompt=True,
    )
    assert made == as_text(messages)


def test_weights_stand_one_a_character() -> None:
    for index, mission in enumerate(KINDS_OF):
        scene = photo_scene("weights", index)
        for lesson in (
            caption_lesson(scene),
            summary_lesson(scene, mission),
            verdict_lesson(make_group(mission, "weights")),
        ):
            assert len(lesson.weights) == len(lesson.answer)
            assert min(lesson.weights) > 0


def test_what_is_shipped_is_small_and_plain() -> None:
    def size(folder: str) -> int:
        return sum(path.stat().st_size for path in (DEMO_FOLDER / folder).iterdir())

    assert size("base") <= 12_000_000
    assert size("adapter") <= 2_000_000
    assert size("openvino") <= 12_000_000
    kinds = {path.suffix for path in DEMO_FOLDER.rglob("*") if path.is_file()}
    # OpenVINO's models are data: a graph of its own operators, and their weights.
    assert kinds <= {".safetensors", ".json", ".jinja", ".xml", ".bin"}
    assert load_checkpoint("demo").model.dtype == torch.bfloat16
    assert Size(320, 256) == CANVAS
