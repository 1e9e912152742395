"""Answers to the rows of a dataset: ms-swift's keys, rows once, a bad row a failure."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from pyarrow.parquet import read_table

from shenhe.config import load_prompts
from shenhe.errors import OptionsChangedError, RunError
from shenhe.intake.datasets import Dataset
from shenhe.messages import Grammar, ImagePart, Request, RequestFailed
from shenhe.rows.counts import RunCounts
from shenhe.rows.parquet import write_parquet
from shenhe.rows.readers import read_failures
from shenhe.rows.responses import ResponseFailure, ResponseRow
from shenhe.runs import RunOptions
from shenhe.runs.fsck.output import check_output
from shenhe.runs.infer import plan_infer, run_infer
from tests.conftest import DEMO
from tests.scripted import Script, ScriptedEngine

PHOTO = sorted((DEMO / "photos").rglob("img-*"))[0]


def _write(path: Path, *rows: object) -> Path:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _answer(request: Request) -> str:
    return f"答{request.key}"


def _run(
    dataset: Path, path: Path, script: Script = _answer, limit: int | None = None, **options: Any
) -> tuple[RunCounts, ScriptedEngine]:
    engine = ScriptedEngine(script)
    run = RunOptions(limit=limit, ordered=True)
    rows = Dataset([str(dataset)])
    template = load_prompts().caption
    return run_infer(engine, rows, template, path, engine_options={}, run=run, **options), engine


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


ROWS = [
    {
        "id": "r1",
        "messages": [
            {"role": "user", "content": "<image>描述"},
            {"role": "assistant", "content": "标签"},
        ],
        "images": [str(PHOTO)],
        "site": "S1",
    },
    {"query": "再说", "history": [["你好", "好"]]},
    {"messages": [{"role": "system", "content": "自己的"}, {"role": "user", "content": "看"}]},
]


def test_a_row_has_the_keys_of_ms_swift_and_its_own(tmp_path: Path) -> None:
    path = tmp_path / "out" / "a.jsonl"
    counts, engine = _run(_write(tmp_path / "data" / "d.jsonl", *ROWS), path, system="质检员")
    assert counts.complete
    first, second, third = _rows(path)
    assert ResponseRow.model_validate(first).key == "r1"
    swift = {name: first[name] for name in ("response", "labels", "logprobs", "images")}
    assert swift == {
        "response": "答r1",
        "labels": "标签",
        "logprobs": None,
        "images": [{"bytes": None, "path": str(PHOTO)}],
    }
    assert first["messages"] == [  # as the row has them: the prompt of all rows is in the manifest
        {"role": "user", "content": "<image>描述"},
        {"role": "assistant", "content": "答r1"},
    ]
    assert (first["finish_reason"], first["sizes_wh"]) == ("stop", [[640, 512]])
    assert (first["line"], first["extra"]) == (1, {"site": "S1"})
    assert [m["content"] for m in second["messages"]] == [
        "你好",
        "好",
        "再说",
        "答data/d.jsonl:2",
    ]
    assert (second["labels"], second["images"]) == (None, None)
    assert [request.messages[0].parts[0] for request in engine.asked] == [
        *("质检员", "质检员", "自己的")
    ]
    manifest = json.loads(path.with_suffix(".manifest.json").read_text(encoding="utf-8"))
    assert manifest["options"]["system"] == "质检员"
    assert third["messages"][0] == {"role": "system", "content": "自己的"}
    assert [part for part in engine.asked[0].messages[1].parts if isinstance(part, ImagePart)]


def test_the_same_command_goes_on_and_rows_stand_once(tmp_path: Path) -> None:
    dataset, path = _write(tmp_path / "data" / "d.jsonl", *ROWS), tmp_path / "a.jsonl"
    assert _run(dataset, path, limit=2)[0].done == 2
    assert plan_infer(Dataset([str(dataset)]), path, RunOptions()).groups == 1
    path.write_bytes(path.read_bytes()[:-30])  # killed in the middle of a row
    counts, engine = _run(dataset, path)
    assert (counts.already, counts.done, len(engine.asked)) == (1, 2, 2)
    assert [row["id"] for row in _rows(path)] == [
        "r1",
        "data/d.jsonl:2",
        "data/d.jsonl:3",
    ]
    assert not list(check_output(path, repair=False))
    with pytest.raises(OptionsChangedError, match="system"):
        _run(dataset, path, system="别的")


def test_a_row_that_has_changed_is_asked_again(tmp_path: Path) -> None:
    dataset, path = _write(tmp_path / "data" / "d.jsonl", *ROWS), tmp_path / "a.jsonl"
    _run(dataset, path)
    _write(dataset, ROWS[0], {"query": "别的"})
    counts, engine = _run(dataset, path)
    assert [request.key for request in engine.asked] == ["data/d.jsonl:2"]
    assert dict(counts.done_anew) == {"rows that have changed in the dataset": 1}
    assert dict(counts.kept_as_is) == {"rows that are not in the dataset": 1}
    assert sorted(row["id"] for row in _rows(path)) == [
        "data/d.jsonl:2",
        "data/d.jsonl:3",
        "r1",
    ]


def test_a_bad_row_and_a_bad_photo_are_failures_and_the_others_go_on(tmp_path: Path) -> None:
    dataset, path = tmp_path / "data" / "d.jsonl", tmp_path / "a.jsonl"
    _write(dataset, ROWS[1], {"query": 7}, {"query": "坏", "images": ["none.jpg"]}, ROWS[2])
    dataset.write_text(dataset.read_text("utf-8") + "{torn", encoding="utf-8")

    def script(request: Request) -> str | RequestFailed:
        if request.key == "data/d.jsonl:3":
            return RequestFailed(request.key, "missing", "none.jpg: no such file")
        return "好"

    counts, _ = _run(dataset, path, script)
    assert (counts.done, counts.failed, counts.complete) == (2, 3, False)
    failures = list(read_failures(path.with_suffix(".failures.jsonl")))
    assert all(isinstance(failure, ResponseFailure) for failure in failures)
    assert {(f.key, f.code) for f in failures} == {
        ("data/d.jsonl:2", "bad_row"),
        ("data/d.jsonl:3", "missing"),
        ("data/d.jsonl:5", "bad_row"),
    }
    # Mended, and with an id of its own: what was said of it is taken back.
    _write(dataset, ROWS[1], {"query": "好", "id": "x"}, {"query": "好"}, ROWS[2])
    counts, _ = _run(dataset, path)
    assert counts.complete
    assert path.with_suffix(".failures.jsonl").read_text("utf-8") == ""
    assert len(_rows(path)) == 4


def test_answers_to_another_dataset_are_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    _run(_write(tmp_path / "data" / "d.jsonl", {"id": 1, "query": "一"}), path)
    with pytest.raises(RunError, match=r"holds answers to rows of .*d\.jsonl"):
        _run(_write(tmp_path / "other.jsonl", {"id": 1, "query": "二"}), path)
    assert _rows(path)[0]["messages"][0]["content"] == "一"


def test_photos_inside_a_row_become_files(tmp_path: Path) -> None:
    content = PHOTO.read_bytes()
    url = "data:image/jpeg;base64," + base64.b64encode(content).decode()
    dataset = _write(
        tmp_path / "data" / "d.jsonl", *({"query": f"{n}<image>", "images": [url]} for n in "ab")
    )
    path = tmp_path / "a.jsonl"
    _run(dataset, path)
    (stored,) = (tmp_path / "a.photos").iterdir()
    assert stored.read_bytes() == content
    assert [row["images"] for row in _rows(path)] == [[{"bytes": None, "path": str(stored)}]] * 2
    assert max(map(len, path.read_text("utf-8").splitlines())) < 2000


def test_a_row_of_photos_alone_asks_for_its_caption(tmp_path: Path) -> None:
    dataset = _write(
        tmp_path / "data" / "d.jsonl", {"images": [str(PHOTO)], "objects": [], "width": 640}
    )
    _, engine = _run(dataset, tmp_path / "a.jsonl")
    (request,) = engine.asked
    assert isinstance(request.grammar, Grammar)
    assert request.grammar.kind == "caption"
    (row,) = _rows(tmp_path / "a.jsonl")
    assert row["messages"][-2]["content"].startswith("图片_1: <image>\n")


def test_an_odd_text_of_a_model_is_kept_as_it_is(tmp_path: Path) -> None:
    dataset = _write(tmp_path / "data" / "d.jsonl", ROWS[1])
    _run(dataset, tmp_path / "a.jsonl", lambda _: ' "dataset": 1\n\x00\u2028')
    (row,) = _rows(tmp_path / "a.jsonl")
    assert row["response"] == ' "dataset": 1\n\x00\u2028'
    assert _run(dataset, tmp_path / "a.jsonl")[0].already == 1


def test_answers_become_parquet_too(tmp_path: Path) -> None:
    dataset, path = _write(tmp_path / "data" / "d.jsonl", *ROWS), tmp_path / "a.jsonl"
    _run(dataset, path)
    (written,) = write_parquet(path)
    first, second, _ = read_table(written).to_pylist()
    assert (first["id"], first["response"], first["line"]) == ("r1", "答r1", 1)
    assert (first["images"], second["images"]) == ([str(PHOTO)], None)
    assert json.loads(first["extra"]) == {"site": "S1"}
