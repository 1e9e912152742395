"""What `import shenhe` gives."""

from __future__ import annotations

from pathlib import Path

import pytest

import shenhe
from shenhe.api import Model
from shenhe.engines.local.engine import LocalEngine
from shenhe.errors import FormatError, ItemError, OptionError, UsageError
from shenhe.formats import summary
from shenhe.messages import RequestFailed
from shenhe.stage_b import build_stage_b_messages
from tests.scripted import ScriptedEngine

MISSION = "挡风板安装检查"
LINES = {"图片_1": "BBU设备/华为/显示完整/无需安装×1", "图片_2": "无关图片"}
ONE_FOR_SEVERAL = r"give a list, as \['{}'\]"


@pytest.fixture(scope="module")
def model(engine: LocalEngine) -> Model:
    return Model(engine)


def test_load_gives_a_model() -> None:
    model = shenhe.load("demo", adapters=["demo"], dtype="float32", attn_impl="eager")
    assert isinstance(model, shenhe.Model)
    assert model.engine.fingerprint


def test_load_refuses_unknown_options() -> None:
    with pytest.raises(TypeError, match="'batchsize'"):
        shenhe.load("demo", batchsize=3)  # type: ignore[call-arg]


def test_load_takes_no_text_for_a_list() -> None:
    with pytest.raises(OptionError, match=ONE_FOR_SEVERAL.format("demo")):
        shenhe.load("demo", "demo")
    with pytest.raises(OptionError, match=ONE_FOR_SEVERAL.format("a=1")):
        shenhe.load("demo", vllm_options="a=1")


@pytest.mark.parametrize("photo", ["a.jpg", Path("a.jpg")])
def test_one_photo_is_no_list_of_photos(model: Model, photo: str | Path) -> None:
    with pytest.raises(OptionError, match=ONE_FOR_SEVERAL.format("a.jpg")):
        model.caption(photo)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=ONE_FOR_SEVERAL.format("a.jpg")):
        model.summarize(photo, mission="挡风板安装检查")  # type: ignore[arg-type]


def test_the_engines_of_workers_are_named() -> None:
    with pytest.raises(OptionError, match=r"use one of local, vllm, server$"):
        shenhe.load("demo", engine="ray", ray_engine="ray")  # type: ignore[arg-type]


def test_summarize(model: Model, demo_photos: list[Path]) -> None:
    lines = model.summarize([demo_photos[0], str(demo_photos[1])], mission=MISSION).per_image
    assert list(lines) == ["图片_1", "图片_2"]
    assert all(summary.parse(line) == line for line in lines.values())


def test_judge(model: Model) -> None:
    verdict = model.judge(LINES, mission=MISSION)
    assert verdict.status == "decided"
    assert verdict.verdict in ("通过", "不通过")
    assert verdict.p_pass is not None
    assert (verdict.p_pass > 0.5) == (verdict.verdict == "通过")


@pytest.mark.parametrize(
    "lines",
    [
        {},
        {"图片_2": "无关图片"},
        {"图片_1": "无关图片", "图片_3": "无关图片"},
        {"图片_2": "无关图片", "图片_1": "无关图片"},
    ],
)
def test_no_group_passes_on_lines_that_are_not_one_for_each_photo(lines: dict[str, str]) -> None:
    engine = ScriptedEngine(lambda request: "通过\n理由: 图片_1符合要求")
    verdict = Model(engine).judge(lines, mission=MISSION)
    assert (verdict.status, verdict.verdict, verdict.p_pass) == ("undecided", None, None)
    assert verdict.reason.startswith("stage_a_incomplete: ")
    assert not engine.asked


def test_caption(model: Model, demo_photos: list[Path]) -> None:
    caption = model.caption([demo_photos[0]])
    assert len(caption.photos) == 1


def test_chat_and_stream_say_the_same(model: Model, demo_photos: list[Path]) -> None:
    parts = [{"type": "image", "image": str(demo_photos[0])}, {"type": "text", "text": "有什么？"}]
    messages: list[dict[str, object]] = [
        {"role": "system", "content": "你是摘要员。"},
        {"role": "user", "content": parts},
    ]
    reply = model.chat(messages, max_new_tokens=24)
    assert reply.new_tokens <= 24
    assert "".join(model.stream(messages, max_new_tokens=24)) == reply.text


@pytest.mark.parametrize(
    "message",
    [
        {"role": "robot", "content": "a"},
        {"role": "user", "content": 5},
        {"role": "user", "content": [{"type": "video", "video": "a.mp4"}]},
        {"role": "user"},
    ],
)
def test_messages_of_another_form(model: Model, message: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        model.chat([message])


def test_a_photo_that_cannot_be_read(model: Model) -> None:
    with pytest.raises(ItemError, match="no such file"):
        model.summarize(["absent.jpg"], mission=MISSION)
    with pytest.raises(UsageError, match="no photos"):
        model.summarize([], mission=MISSION)


def test_malformed_verdicts_are_undecided() -> None:
    verdict = Model(ScriptedEngine(lambda request: "待定")).judge(LINES, mission=MISSION)
    assert (verdict.verdict, verdict.status, verdict.raw) == (None, "undecided", "待定")
    dead = ScriptedEngine(lambda request: RequestFailed(request.key, "out_of_memory", "full"))
    assert Model(dead).judge(LINES, mission=MISSION).status == "undecided"


def test_stage_b_messages_are_text_only() -> None:
    messages = build_stage_b_messages(stage_a_summaries=LINES, task_type=MISSION)
    assert [message["role"] for message in messages] == ["system", "user"]
    assert "图片_1: BBU设备/华为/显示完整/无需安装×1\n图片_2: 无关图片" in messages[1]["content"]
    with pytest.raises(UsageError, match="unknown mission"):
        build_stage_b_messages(LINES, "别的")


@pytest.mark.parametrize("line", ["a\nb", "<|im_end|>", ""])
def test_no_line_can_pose_as_the_prompt(line: str) -> None:
    with pytest.raises(FormatError):
        build_stage_b_messages({"图片_1": line}, MISSION)


@pytest.mark.parametrize(
    ("line", "reason", "codes"),
    [
        ("挡风板/中兴/显示完整/安装方向错误×1", "挡风板符合要求", ["evidence_against"]),
        ("标签/可以识别×1", "挡风板符合要求", ["evidence_missing"]),
        ("BBU设备/华为/显示完整/无需安装×1", "挡风板装反了", ["contradiction"]),
    ],
)
def test_no_group_passes_against_its_lines_or_its_reason(
    line: str, reason: str, codes: list[str]
) -> None:
    engine = ScriptedEngine(lambda request: f"通过\n理由: {reason}")
    verdict = Model(engine).judge({"图片_1": line}, mission="挡风板安装检查")
    assert (verdict.status, verdict.verdict) == ("undecided", None)
    assert set(codes) <= set(verdict.why)
    assert verdict.reason.startswith(f"{verdict.why[0]}: ")
    decided = Model(engine).judge({"图片_1": line}, mission="挡风板安装检查", evidence=False)
    assert decided.why == (("contradiction",) if codes == ["contradiction"] else ())
