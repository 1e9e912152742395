"""Rules and worked examples: they reach the prompts, and the rows' hashes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import shenhe
from shenhe.cli.main import main
from shenhe.config import load_missions, load_prompts, load_teaching
from shenhe.errors import ConfigError
from shenhe.messages import ImagePart
from shenhe.rows.manifest import guidance_of
from shenhe.stages import summary, verdict
from tests.conftest import DEMO, MISSION

LINE = "BBU设备/华为/显示完整/无需安装×1"
EXAMPLES = f"""
schema = 1
[[summarize]]
mission = "{MISSION}"
image = "shown.jpeg"
line = "{LINE}"

[[judge]]
mission = "{MISSION}"
verdict = "通过"
reason = "图片_1显示BBU无需安装挡风板"
[judge.lines]
"图片_1" = "{LINE}"
"""
GUIDANCE = f"""
schema = 1
[[mission]]
name = "{MISSION}"
rules = "机柜顶部的 BBU 一律需要挡风板。"
"""


@pytest.fixture
def files(tmp_path: Path, demo_photos: list[Path]) -> tuple[Path, Path]:
    (tmp_path / "shown.jpeg").write_bytes(demo_photos[0].read_bytes())
    examples, guidance = tmp_path / "examples.toml", tmp_path / "guidance.toml"
    examples.write_text(EXAMPLES, encoding="utf-8")
    guidance.write_text(GUIDANCE, encoding="utf-8")
    return examples, guidance


def test_rules_end_the_system_text_and_examples_are_turns(files: tuple[Path, Path]) -> None:
    missions, prompts = load_missions(), load_prompts()
    mission = missions.get(MISSION)
    taught = load_teaching(*files, missions).apply(prompts, mission)
    photo = Path("asked.jpg")
    request = summary.request("k", photo, mission, taught.summary, 9)
    assert [message.role for message in request.messages] == ["system", "user", "assistant", "user"]
    system, example, answer, question = request.messages
    assert str(system.parts[0]).endswith("检查规则：\n机柜顶部的 BBU 一律需要挡风板。")
    assert ImagePart(files[0].parent / "shown.jpeg") in example.parts
    assert answer.parts == (LINE,)
    assert ImagePart(photo) in question.parts
    assert example.parts[-1] == question.parts[-1]
    messages = verdict.messages({"图片_1": "无关图片"}, mission, taught.verdict)
    assert [message.role for message in messages][-3:] == ["user", "assistant", "user"]
    assert LINE in str(messages[-3].parts[0])
    assert messages[-2].parts == ("通过\n理由: 图片_1显示BBU无需安装挡风板",)
    # Other missions are asked as ever.
    untaught = next(candidate for candidate in missions if candidate is not mission)
    assert load_teaching(*files, missions).apply(prompts, untaught) == prompts


def test_everything_that_is_shown_is_hashed(
    files: tuple[Path, Path], demo_photos: list[Path]
) -> None:
    missions, prompts = load_missions(), load_prompts()
    mission = missions.get(MISSION)

    def hashes() -> tuple[str, str]:
        taught = load_teaching(*files, missions).apply(prompts, mission)
        return taught.summary.hash(mission), taught.verdict.hash(mission)

    prompt_hashes = [(prompts.summary.hash(mission), prompts.verdict.hash(mission)), hashes()]
    (files[0].parent / "shown.jpeg").write_bytes(demo_photos[1].read_bytes())
    prompt_hashes.append(hashes())
    assert prompt_hashes[2][1] == prompt_hashes[1][1]  # a photo is of Stage-A alone
    files[1].write_text(GUIDANCE.replace("一律", "多半"), encoding="utf-8")
    prompt_hashes.append(hashes())
    files[0].write_text(EXAMPLES.replace("无需安装挡风板", "无需挡风板"), encoding="utf-8")
    prompt_hashes.append(hashes())
    assert len({a for a, _ in prompt_hashes}) == 4
    assert len({b for _, b in prompt_hashes}) == 4


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (MISSION, "别的任务", "unknown mission"),
        (f'line = "{LINE}"', 'line = "螺丝 [1, 2]"', "coordinates"),
        ("shown.jpeg", "gone.jpeg", "No such file"),
        ('verdict = "通过"', 'verdict = "待定"', "verdict"),
        ("[judge.lines]", "[judge.line]", "judge"),
    ],
)
def test_what_is_wrong_is_named(files: tuple[Path, Path], old: str, new: str, message: str) -> None:
    files[0].write_text(EXAMPLES.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigError, match=message) as error:
        load_teaching(files[0], None, load_missions())
    assert str(files[0]) in str(error.value)


def test_the_command_and_the_rows(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["summarize", "--model", "demo", "--adapters", "demo", "--dtype", "float32"]
    command += ["--data-root", str(DEMO / "photos"), "--mission", MISSION, "--limit", "2"]
    command += ["--output-dir", str(out), "--examples", str(files[0])]
    with pytest.raises(SystemExit) as left:
        main([*command, "--guidance", str(files[1])])
    assert left.value.code == 0
    rows = (out / f"{MISSION}.jsonl").read_text(encoding="utf-8").splitlines()
    taught = load_teaching(*files, load_missions())
    mission = load_missions().get(MISSION)
    expected = taught.apply(load_prompts(), mission).summary.hash(mission)
    for row in map(json.loads, rows):
        assert row["meta"]["prompt_hash"] == expected
        for answer in row["meta"]["answers"].values():
            assert answer["original_wh"] == [640, 512]
    # The rules are kept for people to read; the options know their hash alone.
    assert guidance_of(out / f"{MISSION}.jsonl") == taught.rules[MISSION]
    # Without the rules it is another prompt: a run does not go on with it.
    with pytest.raises(SystemExit) as left:
        main(command)
    assert left.value.code == 2
    assert "prompt_hash" in capsys.readouterr().err


def test_from_python(files: tuple[Path, Path], demo_photos: list[Path]) -> None:
    model = shenhe.load("demo", ["demo"], dtype="float32", examples=files[0], guidance=files[1])
    lines = model.summarize([demo_photos[2]], MISSION).per_image
    assert lines.keys() == {"图片_1"}
    assert model.judge(lines, MISSION).status in ("decided", "undecided")


def older(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "guidance.json"
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


def test_the_json_guidance_of_an_older_pipeline(tmp_path: Path) -> None:
    path = older(
        tmp_path,
        {
            MISSION: {
                "step": 3,
                "updated_at": "2025-11-02T08:00:00+00:00",
                "focus": "核对挡风板",
                "experiences": {"S1": "缺少挡风板则不通过", "G0": " 方向错误\n则不通过 "},
                "metadata": {"G0": {"sources": ["QC-1"]}},
            },
            "BBU接地线检查": {"experiences": {"G0": "两端都要看到"}},
        },
    )
    missions, prompts = load_missions(), load_prompts()
    teaching = load_teaching(None, path, missions)
    system = teaching.apply(prompts, missions.get(MISSION)).verdict.system
    assert system.endswith("检查规则：\n核对挡风板\n缺少挡风板则不通过\n方向错误 则不通过")
    assert teaching.rules["BBU接地线检查"] == "两端都要看到"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"无此任务": {"experiences": {"G0": "规则"}}}, "unknown mission '无此任务'"),
        ({MISSION: {"experiences": {}}}, "experiences: Dictionary should have at least 1 item"),
        ({MISSION: {"experiences": {"G0": 5}}}, "experiences.G0: Input should be a valid string"),
        ({MISSION: "规则"}, f"{MISSION}: Input should be"),
        ([MISSION], "file: Input should be a valid dictionary"),
        ({MISSION: {"experiences": {"G0": "  "}}}, "experiences.G0: String should have at least"),
    ],
)
def test_json_guidance_that_says_nothing(content: object, problem: str, tmp_path: Path) -> None:
    path = older(tmp_path, content)
    with pytest.raises(ConfigError, match=str(path)) as error:
        load_teaching(None, path, load_missions())
    assert problem in str(error.value)


def test_json_guidance_that_is_no_json(tmp_path: Path) -> None:
    path = tmp_path / "guidance.json"
    repeated = b'{"a": {"experiences": {"G0": "1"}}, "a": {"experiences": {"G0": "2"}}}'
    for content in (b"{", b"\xff", b"[" * 100_000, repeated):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match="not valid JSON"):
            load_teaching(None, path, load_missions())
