"""Requests and readings, without any model."""

from __future__ import annotations

from pathlib import Path

import pytest

from shenhe.config import load_missions, load_prompts
from shenhe.errors import FormatError
from shenhe.formats.repairs import Repair
from shenhe.geometry import Box, Size
from shenhe.messages import Answer, ImagePart, PhotoSize
from shenhe.stages import caption, summary, verdict
from shenhe.values import FAIL, PASS, Group

MISSION, PROMPTS = load_missions().get("BBU接地线检查"), load_prompts()


SIZES = (PhotoSize(Size(640, 512), Size(320, 256)),)


def _answer(text: str, finish: str = "stop") -> Answer:
    return Answer("k", text, finish, 1, 1, SIZES)  # type: ignore[arg-type]


def test_summary_requests_ask_photo_by_photo() -> None:
    group = Group("g", MISSION.name, None, (Path("a.jpg"), Path("b.jpg")))
    requests = list(summary.requests(group, MISSION, PROMPTS.summary))
    assert [request.key for request in requests] == ["图片_1", "图片_2"]
    for request, photo in zip(requests, group.photos, strict=True):
        system, user = request.messages
        assert system.parts == (PROMPTS.summary.system,)
        assert ImagePart(photo) in user.parts
        assert MISSION.focus in str(user.parts[-1])


def test_several_photos_make_one_caption_request() -> None:
    request = caption.request("k", [Path("a.jpg"), Path("b.jpg")], PROMPTS.caption)
    parts = request.messages[-1].parts
    assert parts[:4] == (
        "图片_1: ",
        ImagePart(Path("a.jpg")),
        "图片_2: ",
        ImagePart(Path("b.jpg")),
    )


def test_verdict_requests_hold_no_photo_and_ask_for_both_rulings() -> None:
    request = verdict.request("k", {"图片_1": "无关图片"}, MISSION, PROMPTS.verdict)
    assert request.choices == (PASS, FAIL)
    assert all(isinstance(part, str) for message in request.messages for part in message.parts)
    assert MISSION.rule in str(request.messages[-1].parts[0])


def test_an_empty_system_prompt_sends_none() -> None:
    template = PROMPTS.summary.model_copy(update={"system": ""})
    request = summary.request("k", Path("a.jpg"), MISSION, template, 9)
    assert [message.role for message in request.messages] == ["user"]


@pytest.mark.parametrize("read", [summary.read, verdict.read])
def test_an_answer_cut_at_the_limit_is_refused(read) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(FormatError) as caught:
        read(_answer("通过\n理由: a", "length"))
    assert caught.value.code == "length"


def test_readings() -> None:
    assert summary.read(_answer("无关图片")) == "无关图片"
    assert verdict.read(_answer("不通过\n理由: 图片_1中螺丝生锈")).verdict == FAIL
    assert caption.read(_answer('{"图片_1": {}}')).caption.photos == ((),)
    with pytest.raises(FormatError):
        caption.read(_answer(""))


def test_a_caption_at_the_token_limit_is_flagged_even_if_it_is_whole() -> None:
    text = '{"图片_1": {"object_1": {"bbox_2d": [1, 2, 3, 4], "desc": "标签"}}}'
    recovery = caption.read(_answer(text, "length"))
    assert recovery.truncated
    assert recovery.repairs == (Repair("truncated", "the limit of 1 tokens was reached"),)
    looped = caption.read(_answer(text, "loop"))
    assert looped.truncated
    assert str(looped.repairs[0]).startswith(
        "truncated: stopped after 1 tokens: one object was written"
    )


def test_a_caption_cut_before_anything_was_whole_is_no_empty_caption() -> None:
    with pytest.raises(FormatError, match="no object was whole"):
        caption.read(_answer('{"图片_1": {}}', "length"))


def test_captions_in_pixels_are_those_of_the_photo_as_the_model_saw_it() -> None:
    text = '{"图片_1": {"object_1": {"bbox_2d": [32, 64, 320, 256], "desc": "a"}}}'
    (item,) = caption.read(_answer(text), "pixel").caption.photos[0]
    assert item.shape == Box(100, 250, 1000, 1000)
