"""Help, messages and errors in Chinese: every text has its own, and foreign text passes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

from recipes.message_templates import SOURCES, no_messages, templates
from shenhe.cli.commands import COMMANDS
from shenhe.cli.help_words import wrapped
from shenhe.cli.main import exit_code
from shenhe.cli.message_catalogue import in_chinese, read_catalogue
from shenhe.cli.results import print_lost
from shenhe.printable import wording
from tests.cli.test_commands import MODEL
from tests.conftest import DEMO, MISSION
from tests.warm import SHENHE

CHINESE = {"LC_ALL": "zh_CN.UTF-8"}
HAN = re.compile(r"[\u4e00-\u9fff]")


def _file(name: str) -> dict[str, str]:
    text = files("shenhe.cli").joinpath("messages", name).read_text(encoding="utf-8")
    return tomllib.loads(text)


def _holes(text: str) -> list[str]:
    return sorted(re.findall(r"\{(\d+)[#~]?\}", text))


def _run(
    *words: str | Path, language: dict[str, str] = CHINESE, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SHENHE, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        input=stdin,
        env=os.environ | language,
    )


def test_every_message_has_its_chinese() -> None:
    """After a change: python -m recipes.message_templates, and fill in what it prints."""
    found, catalogue = templates(), read_catalogue()
    assert not {text: module for text, module in found.items() if text not in catalogue}
    apart = _file("words.zh.toml").keys() | _file("libraries.zh.toml").keys()
    assert not catalogue.keys() - found.keys() - apart, "no source has these any more"


def test_the_holes_are_the_same_in_both_languages() -> None:
    catalogue = read_catalogue()
    assert not {text: zh for text, zh in catalogue.items() if _holes(text) != _holes(zh)}
    commands = re.compile(r"^[ -~：]*$")  # as `pip install ...`: nothing to translate
    assert all(HAN.search(zh) or commands.match(zh) for zh in catalogue.values())


def test_words_of_ours_stand_in_the_sources() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in SOURCES.rglob("*.py"))
    for text in _file("words.zh.toml"):
        assert all(word in sources for word in re.findall(r"[A-Za-z]+(?:-[AB])?", text)), text
    assert not no_messages() & templates().keys()


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("a.jpg: no such file", "a.jpg：没有这个文件"),
        # A message in a message in a message.
        (
            "shenhe: rows.jsonl: line 3 is not JSON; mend or remove it, or have `shenhe fsck out`"
            " set it aside",
            "shenhe：rows.jsonl：第 3 行不是 JSON；请修复或删除该行，或用 `shenhe fsck out`"
            " 把它移到一边",
        ),
        ("--limit 0: must be 1 or more", "--limit 0：必须不小于 1"),
        # Composed of parts, as counts are.
        (
            "Stage-A 接地线: 12 groups done, 3 of them before, 1 failed",
            "阶段A 接地线：完成 12 组，其中 3 此前已完成，失败 1",
        ),
        (
            "  done anew: 3 photos added, 12 whose folder is gone",
            "  已重做：照片增加 3，文件夹已不存在 12",
        ),
        # Names are not translated, whatever they say.
        ("my photos: no such folder", "my photos：没有这个文件夹"),
        ("12 photos: no such folder", "12 photos：没有这个文件夹"),
        ("a and b: no such folder", "a and b：没有这个文件夹"),
        ("the key 'no such folder' stands twice", "键 'no such folder' 出现了两次"),
        ("loading all photos ...", "正在加载 all photos …"),
        # Of the system and of libraries: the common ones, others pass.
        ("out: cannot be read: Permission denied", "out：无法读取：权限不足"),
        ("out: cannot be read: Bad luck today", "out：无法读取：Bad luck today"),
        # What is no message of ours comes back as it is.
        ("the server said: the key is in the house", "the server said: the key is in the house"),
        ("通过\n理由: 图片_1中螺丝符合要求", "通过\n理由: 图片_1中螺丝符合要求"),
        ("", ""),
        (" \n", " \n"),
        ("x" * 100_000, "x" * 100_000),
        (": " * 900, ": " * 900),
        ("a is b in c and " * 100, "a is b in c and " * 100),
    ],
)
def test_a_message_in_chinese(english: str, chinese: str) -> None:
    assert in_chinese(english) == chinese


@pytest.mark.parametrize("part", ["'a' has no b, ", "line 2 is not JSON; ", "(a b) and no c: "])
def test_a_hostile_message_ends(part: str) -> None:
    assert in_chinese(part * 120)


def test_lines_of_help_are_as_wide_as_they_look() -> None:
    text = "结果记录写到哪里；默认：RUN_DIR/captions.jsonl，没有就写到（旁边的）文件夹里"
    lines = wrapped(text, 20)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(len(line) + len(re.findall(r"[^\x00-\xff]", line)) <= 26 for line in lines)
    assert not [line for line in lines if line[0] in "，；：）" or line[-1] == "（"]


def _said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int | str | None, str, str]:
    """Run a command in this process, and give its exit code and what it wrote."""
    try:
        code: int | str | None = exit_code(words)
    except SystemExit as error:
        code = error.code
    return (code, *capsys.readouterr())


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_chinese(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, help_text, _ = _said(capsys, "--lang", "zh", *command.split(), "--help")
    assert code == 0
    assert help_text.startswith("用法：shenhe")
    for line in help_text.splitlines():
        if not line.startswith(("用法", "示例")):
            assert not re.search(r"[a-z]{3,} [a-z]{2,} [a-z]{2,}", line), line
    english = _said(capsys, *command.split(), "--help")
    assert english[1].startswith("usage: shenhe")
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert _said(capsys, *command.split(), "--help")[1] == help_text
    assert _said(capsys, "--lang=en", *command.split(), "--help") == english


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("rum", "shenhe：参数 COMMAND：不能用 'rum'，是不是 'run'？（可选 "),
        ("run", "shenhe run：缺少必需的参数：--model, --data-root, --output-dir（见 "),
        ("status nowhere --bogus", "shenhe：不认识的参数：--bogus（见 shenhe --help）"),
        ("evaluate captions --worst 0", "shenhe evaluate captions：参数 --worst：0 必须不小于 1"),
        ("status nowhere", "shenhe：nowhere：那里没有清单："),
        ("evaluate verdicts nowhere", "shenhe：nowhere：那里没有结论；请先运行 `shenhe judge` 或"),
        ("check caption nowhere.jsonl", "shenhe：nowhere.jsonl：无法读取：没有这个文件或目录"),
        ("infer --model m --custom_register_path x.py", "：这里不运行外来代码（见 "),
    ],
)
def test_errors_are_chinese_in_one_line(
    words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, output, error = _said(capsys, "--lang", "zh", *words.split())
    assert code == 2
    assert said in error
    assert error.count("\n") == 1
    assert not output
    code, _, error = _said(capsys, *words.split(), "--lang", "en")
    assert code == 2
    assert error.isascii()


def test_data_is_the_same_in_any_language(tmp_path: Path) -> None:
    """Rows of answers are data, and so is what stands in them."""
    rows = '{"raw": "通过"}\n{"raw": "the verdict is empty"}\n'
    checks = [_run("check", "verdict", "-", language=each, stdin=rows) for each in (CHINESE, {})]
    assert checks[0].stdout == checks[1].stdout
    assert "the second line, the reason, is missing" in checks[0].stdout
    assert checks[0].returncode == checks[1].returncode == 1


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A run of two groups, one of which has a photo that is cut off."""
    folder = tmp_path_factory.mktemp("messages")
    photos = folder / "photos" / MISSION / "审核不通过"
    source = next((DEMO / "photos" / MISSION / "审核不通过").iterdir())
    for name, size in (("QC-1", None), ("QC-2", 300)):
        (photos / name).mkdir(parents=True)
        for photo in source.iterdir():
            (photos / name / photo.name).write_bytes(photo.read_bytes()[:size])
    words: list[str | Path] = [
        "run",
        *MODEL,
        "--data-root",
        folder / "photos",
        "--output-dir",
        folder / "run",
    ]
    return folder / "run", _run(*words)


def test_a_run_with_a_photo_that_cannot_be_read(
    run: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, done = run
    assert done.returncode == 1
    assert f"阶段A {MISSION}：完成 1 组，失败 1" in done.stderr
    assert f"列在 {folder}/stage_a/*.failures.jsonl" in done.stderr
    assert f"报告：{folder}/report/index.html" in done.stdout
    assert "任务" in done.stdout
    assert not re.search(
        r"mission|groups|done|failed\b", done.stderr + done.stdout.split("报告")[0]
    )
    failures = (folder / "stage_a" / f"{MISSION}.failures.jsonl").read_text(encoding="utf-8")
    assert not HAN.search(re.sub(r'"[^"]*挡风板[^"]*"|审核不通过', "", failures))
    status = _run("status", folder).stdout
    assert "已结束" in status
    assert "ended" in _run("status", folder, "--json").stdout


def test_evaluation_is_in_one_language(
    run: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    shown, pages = {}, {}
    for language in ("zh", "en"):
        page = tmp_path / f"{language}.html"
        words = ["--lang", language, "--html", page, "--max-false-pass", "0.05"]
        done = _run("evaluate", "verdicts", run[0], *words, language={})
        assert done.returncode == 0, done.stderr
        shown[language], pages[language] = done.stdout, page.read_text(encoding="utf-8")
        assert f'<html lang="{language}">' in pages[language]
    body = re.sub(r"<style>.*?</style>|<[^>]*>", " ", pages["zh"], flags=re.DOTALL)
    for text in (shown["zh"], body):
        assert "误放行" in text
        assert not re.search(r"[a-z]{3,} [a-z]{2,} [a-z]{2,}", text.replace("shenhe promise", ""))
    english = re.sub(f"{MISSION}|不?通过", "", shown["en"] + re.sub(r"<[^>]*>", "", pages["en"]))
    assert "false pass, of failed" in english
    assert not HAN.findall(english)
    numbers = [re.findall(r"\d+\.\d+%", shown[language]) for language in ("zh", "en")]
    assert numbers[0] == numbers[1] != []


def test_chinese_is_written_whatever_the_locale_can(tmp_path: Path) -> None:
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""}
    command = [sys.executable, "-m", "shenhe", "--lang", "zh", "status", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, check=False, env=os.environ | locale)
    assert done.returncode == 2
    assert f"{tmp_path}：那里没有清单" in done.stderr.decode("utf-8")


@pytest.mark.parametrize(
    "loss",
    [
        "further rows of a group: it counts once, as 通过 if one of them is that",
        "older annotations of a photo: the newest counts",
        "rows with other keys: only training rows hold them",
        "relations: left out",
    ],
)
def test_what_a_format_cannot_hold_is_told_in_chinese(
    loss: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with wording(in_chinese):
        print_lost("of the rows", {loss: 3})
    told = capsys.readouterr().err
    assert told.startswith("  结果记录中：3 ")
    assert not re.search("[a-z]", told)
