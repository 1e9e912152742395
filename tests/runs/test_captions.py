"""Captions through `runs`: several photos a request, repairs counted, resumed as every run is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shenhe.config import load_formats, load_prompts
from shenhe.errors import OptionsChangedError, RunError
from shenhe.messages import ImagePart, Request, RequestFailed
from shenhe.rows.keys import failures_file
from shenhe.rows.readers import read_captions, read_failures
from shenhe.runs import RunCounts, RunOptions, plan_captions, run_captions
from tests.scripted import Script, ScriptedEngine

TEMPLATE = load_prompts().caption
THING = '"object_1": {"bbox_2d": [1, 2, 300, 400], "desc": "BBU设备"}'
LISTS = [(Path(f"/p/{n}.jpg"),) for n in range(5)] + [(Path("/p/0.jpg"), Path("/p/1.jpg"))]


def _photos(request: Request) -> int:
    return sum(isinstance(p, ImagePart) for m in request.messages for p in m.parts)


def _good(request: Request) -> str:
    empty = "".join(f', "图片_{n + 1}": {{}}' for n in range(1, _photos(request)))
    return f'{{"图片_1": {{{THING}}}{empty}}}'


def _run(path: Path, script: Script, **options: Any) -> RunCounts:
    run = RunOptions(limit=options.pop("limit", None))
    return run_captions(
        ScriptedEngine(script), LISTS, TEMPLATE, path, engine_options={}, run=run, **options
    )


def test_several_photos_make_one_row(tmp_path: Path) -> None:
    path = tmp_path / "new" / "c.jsonl"
    assert _run(path, _good).complete
    rows = list(read_captions(path))
    assert len(rows) == len(LISTS)
    (pair,) = (row for row in rows if len(row.images) == 2)
    assert list(pair.caption) == ["图片_1", "图片_2"]
    assert pair.sizes_wh == [(640, 512)] * 2
    assert pair.meta.resized_wh == [(320, 256)] * 2


def test_rows_of_a_format_without_keys_of_photos(tmp_path: Path) -> None:
    """Rows hold grouped JSON all the same; photos that are listed together are a failure."""
    path = tmp_path / "c.jsonl"
    quad = '"poly": [100, 100, 200, 100, 200, 200, 100, 200], "poly_points": 4, "desc": "类别=标签"'
    text = f'<DOMAIN=BBU>, <TASK=DETECTION>\n{{"object_1": {{{quad}}}}}'
    counts = _run(path, lambda _: text, formats=load_formats("domain"))
    assert (counts.done, counts.failed) == (len(LISTS) - 1, 1)
    rows = list(read_captions(path))
    fields = {"quad": [100, 100, 200, 100, 200, 200, 100, 200], "desc": "类别=标签"}
    assert all(row.caption == {"图片_1": {"object_1": fields}} for row in rows)
    assert all(not row.repairs for row in rows)
    (failure,) = read_failures(failures_file(path))
    assert failure.code == "photo_count"
    assert "list each on a line of its own" in failure.message


def test_repairs_are_listed_in_rows_and_counted_in_the_manifest(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    counts = _run(path, lambda request: f"```json\n{_good(request)}\n```")
    assert counts.repairs == {"code_fence": len(LISTS)}
    assert all(row.repairs == ["code_fence"] for row in read_captions(path))
    manifest = json.loads(path.with_suffix(".manifest.json").read_text(encoding="utf-8"))
    assert manifest["repairs"] == {"code_fence": len(LISTS)}


def test_what_cannot_be_read_is_asked_again_then_a_failure_never_an_empty_caption(
    tmp_path: Path,
) -> None:
    path = tmp_path / "c.jsonl"

    def script(request: Request) -> str | RequestFailed:
        if "/p/3.jpg" in request.key:
            return RequestFailed(request.key, "missing", "/p/3.jpg: no such file")
        if request.key.endswith("/p/2.jpg"):
            return "看不清"
        if request.key.endswith("/p/4.jpg") and request.attempt == 0:
            return ""
        return _good(request)

    counts = _run(path, script)
    assert (counts.done, counts.failed) == (4, 2)
    failures = [
        json.loads(line)
        for line in path.with_suffix(".failures.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert {(row["code"], row["attempts"], row["raw"]) for row in failures} == {
        ("missing", 1, None),
        ("not_json", 3, "看不清"),
    }
    (late,) = (row for row in read_captions(path) if row.images == ["/p/4.jpg"])
    assert late.meta.answers["caption"].attempts == 2
    # The next run does what is missing, and takes back what was said of it.
    assert plan_captions(LISTS, path, RunOptions()).groups == 2
    assert _run(path, _good).complete
    assert path.with_suffix(".failures.jsonl").read_text(encoding="utf-8") == ""
    assert len(list(read_captions(path))) == len(LISTS)


def test_a_torn_row_is_done_again_and_other_options_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    _run(path, _good, limit=4)
    path.write_bytes(path.read_bytes()[:-40])
    _run(path, _good)
    assert len({row.key for row in read_captions(path)}) == len(LISTS)
    with pytest.raises(OptionsChangedError, match="coordinates"):
        _run(path, _good, coordinates="pixel")


def test_rows_of_another_form_are_named(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text('{"images": ["a"], "caption": {}}\n', encoding="utf-8")
    with pytest.raises(RunError, match="line 1 is not a caption row"):
        list(read_captions(path))
