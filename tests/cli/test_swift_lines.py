"""The table of docs/tools.md: each line of it is run, by ms-swift's words and by shenhe's own."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from shenhe.cli.main import exit_code
from tests.conftest import DEMO
from tests.servers.starting import scripted

DOCS = Path(__file__).parent.parent.parent / "docs"
ROW = re.compile(r"^\| `([^`]*swift [^`]+)` \| ([^|]+) \| `(shenhe [^`]+)` \|$", re.MULTILINE)
AS_IT_IS, EXIT_2 = ("as it is", "原样可用"), ("exit 2", "退出码 2")
PHOTO = sorted((DEMO / "photos").rglob("img-*"))[0]


def _table(page: Path) -> list[tuple[str, str, str]]:
    return [
        (match[1], match[2], match[3]) for match in ROW.finditer(page.read_text(encoding="utf-8"))
    ]


TABLE = _table(DOCS / "tools.md")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the lines name."""
    folder = tmp_path_factory.mktemp("swift")
    (folder / "base").symlink_to(DEMO / "checkpoint" / "base")
    shutil.copytree(DEMO / "checkpoint" / "adapter", folder / "lora")
    told = {"model": "base", "system": "你是质检员", "val_dataset": ["val.jsonl"]}
    (folder / "lora" / "args.json").write_text(json.dumps(told), encoding="utf-8")
    shutil.copy(PHOTO, folder / "1.jpeg")
    rows = [
        {"query": "<image>描述", "images": ["1.jpeg"], "response": "好"},
        {"messages": [{"role": "user", "content": "你好"}]},
        {"query": "<image>描述", "images": ["none.jpeg"]},
    ]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / "val.jsonl").write_text(text, encoding="utf-8")
    (folder / "more.csv").write_text("query,response\n你好,好\n再见,好\n", encoding="utf-8")
    return folder


def test_both_pages_have_the_same_lines() -> None:
    chinese = _table(DOCS / "zh" / "tools.md")
    assert len(TABLE) > 20
    assert [row[::2] for row in chinese] == [row[::2] for row in TABLE]
    words = dict(zip(AS_IT_IS + EXIT_2, AS_IT_IS[::-1] + EXIT_2[::-1], strict=True))
    assert [words[expected] for _, expected, _ in chinese] == [expected for _, expected, _ in TABLE]


def _run(line: str, folder: Path, monkeypatch: pytest.MonkeyPatch, *, answers: bool) -> int:
    """Run a line: with `answers` for real, else as far as a model is not needed."""
    words = shlex.split(line)
    while "=" in words[0]:
        monkeypatch.setenv(*words.pop(0).split("=", 1))
    _, *argv = words
    if argv[0] == "chat" or (argv[0] == "infer" and not re.search("val.dataset|load.data", line)):
        argv += ["--prompt", "你好", "--max_new_tokens", "4"]
    elif argv[0] == "infer" and not answers:
        argv += ["--dry-run"]
    monkeypatch.chdir(folder)
    try:
        return exit_code(argv)
    except SystemExit as left:
        return int(str(left.code or 0))


@pytest.mark.parametrize(("left", "expected", "right"), TABLE, ids=lambda text: text[:90])
def test_a_line_of_the_table(
    left: str,
    expected: str,
    right: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    answers = "--result_path" in left
    code = _run(left, folder, monkeypatch, answers=answers)
    told = capfd.readouterr().err
    if expected == "exit 2":
        assert code == 2
        assert told.count("\n") == 1
    else:
        assert code == (1 if answers else 0), told  # one photo of the dataset is not there
    assert _run(right, folder, monkeypatch, answers=answers) == (1 if answers else 0)
    if answers:
        rows = (folder / "answers.jsonl").read_text(encoding="utf-8").splitlines()
        assert len(rows) == 2  # the second command went on with the rows of the first
        manifest = json.loads((folder / "answers.manifest.json").read_text(encoding="utf-8"))
        assert manifest["options"]["system"] == "你是质检员"
        assert "none.jpeg: no such file" in (folder / "answers.failures.jsonl").read_text("utf-8")


def test_a_batch_through_a_server_is_shown_and_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    dataset, answers = Path("d.jsonl"), Path("result/scripted/infer_result/d.jsonl")
    dataset.write_text('{"query": "你好"}\n{"query": "再见"}\n', encoding="utf-8")
    with scripted("--form", "structured_outputs") as served:
        line = "infer --model scripted --val_dataset d.jsonl --stream true --metric acc"
        argv = [*line.split(), "--engine", "server", "--base-url", served.url]
        assert exit_code(argv) == 0
        shown = capsys.readouterr().out
        rows = [json.loads(text) for text in answers.read_text(encoding="utf-8").split("\n")[:-1]]
        assert f"[QUERY] 你好\n[RESPONSE] {rows[0]['response']}\n" in shown
        assert '{"acc": 0.0, "rows": 2}' in shown
        labelled = [
            {"query": row["messages"][0]["content"], "response": row["response"]} for row in rows
        ]
        dataset.write_text("".join(json.dumps(row) + "\n" for row in labelled), encoding="utf-8")
        assert exit_code(argv) == 0
        told = capsys.readouterr()
    assert '{"acc": 1.0, "rows": 2}' in told.out
    assert "2 rows that have changed in the dataset" in told.err
    assert f"answers are in {answers}" in told.err
