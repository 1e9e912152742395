"""What the model is taught: the product's own prompts, and the answers that are true."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from recipes.demo_checkpoint.groups import KINDS_OF, MadeGroup, make_group
from recipes.demo_checkpoint.scenes import KINDS, Scene, make_scene
from shenhe.config import load_missions, load_prompts
from shenhe.formats import caption, summary, verdict
from shenhe.messages import ImagePart, Message
from shenhe.stages import caption as caption_stage
from shenhe.stages import verdict as verdict_stage
from shenhe.stages.summary import request as summary_request
from shenhe.values import photo_key

MISSIONS, PROMPTS = load_missions(), load_prompts()
MISSION_OF = {kind: mission for mission, kinds in KINDS_OF.items() for kind in kinds}
IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"

# The value of getting each character of an answer right: what a thing is and whether there is
# another one count most; the last digit of a coordinate is within the drawing's own error.
_DESC = re.compile(r'"desc": "([^"]*)"(\}+,? ?)')
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Lesson:
    """One answer to learn; `weights` has one value a character of the answer."""

    prompt: str
    answer: str
    weights: tuple[float, ...]


def photo_scene(split: str, index: int, kinds: tuple[str, ...] = KINDS) -> Scene:
    """The scene of a photo's index in a split: kinds take turns."""
    return make_scene(kinds[index % len(kinds)], f"{split}/{index}", 0.35)


def caption_lesson(scene: Scene) -> Lesson:
    """Learn the dense caption of a photo."""
    messages = caption_stage.request("", [Path()], PROMPTS.caption).messages
    answer = caption.render(scene.caption)
    weights = [1.0] * len(answer)
    for found in _NUMBER.finditer(answer):
        weights[found.end() - 1] = 0.4
    for found in _DESC.finditer(answer):
        for at in range(found.start(1), found.end(2)):
            weights[at] = 2.0
    return Lesson(as_text(messages), answer, tuple(weights))


def summary_lesson(scene: Scene, mission: str) -> Lesson:
    """Learn the Stage-A line of a photo."""
    template = PROMPTS.summary
    messages = summary_request("", Path(), MISSIONS.get(mission), template, 0).messages
    answer = summary.render(scene.descs)
    return Lesson(as_text(messages), answer, (1.5,) * len(answer))


def verdict_lesson(group: MadeGroup) -> Lesson:
    """Learn the verdict of a group from its true lines."""
    lines = {photo_key(index): line for index, line in enumerate(group.lines)}
    messages = verdict_stage.messages(lines, MISSIONS.get(group.mission), PROMPTS.verdict)
    answer = verdict.render(group.judgement)
    return Lesson(as_text(messages), answer, (3.0, *(1.0,) * (len(answer) - 1)))


def as_text(messages: tuple[Message, ...]) -> str:
    """What the chat template makes of messages, with the opening of the answer."""
    turns = "".join(
        f"<|im_start|>{message.role}\n"
        + "".join(IMAGE if isinstance(part, ImagePart) else part for part in message.parts)
        + "<|im_end|>\n"
        for message in messages
    )
    return turns + "<|im_start|>assistant\n"


def tokenizer_texts(count: int = 400) -> list[str]:
    """The texts that the tokenizer is made for; prompts are few, so they are repeated."""
    texts: list[str] = []
    for index in range(count):
        scene = photo_scene("tokenizer", index)
        mission = MISSION_OF.get(scene.kind, next(iter(KINDS_OF)))
        lessons = [caption_lesson(scene), summary_lesson(scene, mission)]
        lessons += [verdict_lesson(make_group(m, f"tokenizer/{index}", True)) for m in KINDS_OF]
        texts += [lesson.prompt + lesson.answer for lesson in lessons]
    return texts
