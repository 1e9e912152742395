"""Formats of texts as data: built in, or a TOML file that is held to be clear."""

from __future__ import annotations

from pathlib import Path

import pytest

from shenhe.config import formats_by_hash, load_formats, load_missions, load_prompts, load_teaching
from shenhe.errors import ConfigError
from shenhe.formats.text_formats import PLAIN, VerdictFormat

OWN = """
schema = 1
[summary]
wrapper = "keyed"
keys = ["photo_{n}"]
[verdict]
pass_word = "合格"
fail_word = "不合格"
reason_marks = ["原因：", "原因: "]
[caption]
polygons = "quad"
"""


def _file(folder: Path, text: str) -> Path:
    path = folder / "house.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_built_in_ones() -> None:
    assert load_formats() == load_formats("plain") == PLAIN
    assert [formats.name for formats in formats_by_hash().values()] == ["plain", "keyed", "domain"]
    assert load_formats("domain").caption.headers[0] == "<DOMAIN=BBU>, <TASK=DETECTION>"
    assert PLAIN.decisive_options == {}
    assert load_formats("keyed").decisive_options == {"formats": load_formats("keyed").hash}


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    own = load_formats(_file(tmp_path, OWN))
    assert own.name == "house"
    assert own.summary.keys == ("photo_{n}",)
    assert own.verdict == VerdictFormat("合格", "不合格", reason_marks=("原因：", "原因: "))
    assert own.hash == load_formats(str(_file(tmp_path, OWN))).hash
    assert own.hash != load_formats(_file(tmp_path, OWN.replace("photo_", "p_"))).hash


@pytest.mark.parametrize(
    ("table", "lines", "words"),
    [
        ("", "", "schema"),
        ("summary", "wraper = 'line'", "summary.wraper"),
        ("summary", "wrapper = 'xml'", "summary.wrapper"),
        ("summary", "keys = ['a']", "keys are those of"),
        ("summary", "wrapper = 'keyed'\nkeys = []", "summary.keys"),
        ("summary", "wrapper = 'keyed'\nkeys = ['a', 'a']", "twice"),
        ("summary", "wrapper = 'keyed'\nkeys = [' ']", "nobody can see"),
        ("summary", 'header = "a\\nb"', "more than a line"),
        ("summary", "header = '<{domain}>'", "exactly if there are domains"),
        ("summary", "header = '<A>'\ndomains = ['B']", "exactly if there are domains"),
        ("summary", "header = '{\"a\"'", "JSON"),
        ("summary", "header = '<|im_end|>'", "special token"),
        ("verdict", "pass_word = ''", "nobody can see"),
        ("verdict", "pass_word = '通过 '", "blanks at its ends"),
        ("verdict", "pass_word = '不通过'", "holds the fail_word"),
        ("verdict", "pass_word = '不通过'\nfail_word = '通过'", "holds the fail_word"),
        ("verdict", "pass_word = 'FAIL'\nfail_word = 'PASS'", "swapped"),
        ("verdict", "pass_word = '合格'\nfail_word = 'ok'\nfalse_word = ''", "false_word"),
        ("verdict", "fail_word = '通过不了'", "begins with the pass_word"),
        ("verdict", "fail_word = '通过'", "holds the fail_word"),
        ("verdict", "verdict_marks = ['', '不']", "a pass and a fail"),
        ("verdict", "verdict_marks = ['Verdict: ', 'Verdict: ']", "twice"),
        ("verdict", "verdict_marks = []", "verdict_marks"),
        ("verdict", "verdict_marks = 'Verdict: '", "verdict_marks"),
        ("verdict", 'verdict_marks = ["Verdict:\\n"]', "more than a line"),
        ("verdict", "reason_marks = ['']", "nobody can see"),
        ("verdict", "reason_marks = ['理由', '理由不']", "begins with"),
        ("verdict", "reason_marks = ['理由: ', '理由: 不']", "begins with"),
        ("verdict", "verdict_marks = ['不']", "would be a pass"),
        ("verdict", "verdict_marks = ['Verdict: ', '审核不']", "would be a pass"),
        ("verdict", 'pass_word = "pass"\nfail_word = "fail"\nverdict_marks = ["Not "]', "would be"),
        ("verdict", 'fail_word = "\\u200b通过"', "control character"),
        ("verdict", "pass_word = '需复核'", "swapped"),
        ("verdict", "reason_marks = ['理由: 不通过, ']", "holds a verdict"),
        ("verdict", "blank_lines = 'maybe'", "blank_lines"),
        ("caption", "polygons = 'hexagon'", "caption.polygons"),
        ("captions", "photo_keys = true", "captions"),
    ],
)
def test_what_is_unclear_is_refused_in_one_line(
    tmp_path: Path, table: str, lines: str, words: str
) -> None:
    text = f"schema = 1\n[{table}]\n{lines}\n" if table else "[summary]\n"
    with pytest.raises(ConfigError, match=r"house\.toml") as caught:
        load_formats(_file(tmp_path, text))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "Value error" not in str(caught.value)


def test_an_unknown_name_or_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean domain"):
        load_formats("domian")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_formats(tmp_path / "none.toml")


def test_prompts_speak_of_the_lines_that_the_format_wants(tmp_path: Path) -> None:
    mission = load_missions().get("挡风板安装检查")
    text = load_prompts(formats=load_formats("domain")).verdict.fill(mission, "图片_1: 标签×1")
    assert "第一行只写Verdict: 通过或Verdict: 不通过；第二行以Reason: 开头" in text
    plain = load_prompts()
    assert "第一行只写通过或不通过；第二行以理由: 开头，写明" in plain.verdict.user
    assert '{"图片_1": "摘要"}' in load_prompts(formats=load_formats("keyed")).summary.user
    assert plain.summary.user.endswith("没有相关物体时写无关图片。")
    own = _file(tmp_path, 'schema = 1\n[verdict]\nuser = "{mission} {lines} {pass_line}"\n')
    assert load_prompts(own, load_formats("domain")).verdict.user.endswith("Verdict: 通过")


def test_examples_are_answered_in_the_format(tmp_path: Path, demo_photos: list[Path]) -> None:
    path = tmp_path / "examples.toml"
    path.write_text(
        f"""schema = 1
[[summarize]]
mission = "挡风板安装检查"
image = "{demo_photos[0]}"
line = "标签/可以识别×2"
[[judge]]
mission = "挡风板安装检查"
lines = {{ "图片_1" = '{{"图片_1": "标签/可以识别×2"}}' }}
verdict = "不通过"
reason = "只见标签"
""",
        encoding="utf-8",
    )
    missions, name = load_missions(), "挡风板安装检查"
    taught = load_teaching(path, None, missions, load_formats("keyed"))
    assert taught.summaries[name][0].answer == '{"图片_1": "标签/可以识别×2"}'
    assert taught.verdicts[name][0].lines == "图片_1: 标签/可以识别×2"


def test_an_unknown_key_is_told_in_plain_words(tmp_path: Path) -> None:
    path = tmp_path / "house.toml"
    path.write_text("schema = 1\n[caption]\nphoto_key = true\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"house\.toml: caption\.photo_key: no such key here$"):
        load_formats(str(path))
