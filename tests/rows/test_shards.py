"""Rows in several files are one output: resumed, judged, reported, made Parquet of."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from shenhe.config import load_missions, load_prompts
from shenhe.intake import PhotoTree, read_annotations
from shenhe.messages import Request
from shenhe.report import read_run
from shenhe.rows.ledger import read_rows
from shenhe.rows.parquet import write_parquet
from shenhe.runs import (
    RunCounts,
    RunOptions,
    find_stage_a,
    run_captions,
    run_summaries,
    run_verdicts,
)
from shenhe.shards import list_rows_files, list_shards
from tests.scripted import ScriptedEngine

MISSIONS = load_missions()
MISSION = MISSIONS.get("BBU安装方式检查（正装）")
PROMPTS = load_prompts()


def _said(request: Request) -> str:
    return "通过\n理由: 符合要求" if request.choices else "BBU设备/华为,显示完整,无需安装×1"


def _summaries(tree: Path, out: Path, **how: object) -> RunCounts:
    run = RunOptions(**how)  # type: ignore[arg-type]
    engine = ScriptedEngine(_said)
    return run_summaries(
        engine, PhotoTree(tree), MISSION, PROMPTS.summary, out, engine_options={}, run=run
    )


def _verdicts(stage_a: Path, out: Path, **how: object) -> RunCounts:
    run = RunOptions(**how)  # type: ignore[arg-type]
    (source,) = find_stage_a(stage_a, MISSIONS)
    engine = ScriptedEngine(_said)
    return run_verdicts(engine, source, PROMPTS.verdict, out, engine_options={}, run=run)


def test_an_output_of_several_files(tree: Path, tmp_path: Path) -> None:
    stage_a, stage_b = tmp_path / "stage_a", tmp_path / "stage_b"
    _summaries(tree, stage_a, shard_bytes=2000, limit=3)
    counts = _summaries(tree, stage_a, shard_bytes=2000)
    assert (counts.already, counts.done) == (3, 3)
    rows = stage_a / f"{MISSION.name}.jsonl"
    names = [path.name for path in list_shards(rows)]
    assert names[:2] == [rows.name, f"{MISSION.name}.0002.jsonl"]
    assert all(path.stat().st_size >= 2000 for path in list_shards(rows)[:-1])
    assert list_rows_files(stage_a) == [rows]
    assert len({row["group_id"] for row in read_rows(rows)}) == 6
    judged = _verdicts(stage_a, stage_b, shard_bytes=500)
    assert judged.done == 6
    assert len(list_shards(stage_b / rows.name)) > 1
    assert sum(m.groups for m in read_run(tmp_path, max_groups=10).missions) == 6
    # A line that changed makes its verdict stale, in whichever file it stands.
    second = list_shards(rows)[1]
    second.write_text(
        second.read_text().replace(
            '"图片_1":"BBU设备/华为,显示完整,无需安装×1"', '"图片_1":"标签/可以识别"', 1
        )
    )
    again = _verdicts(stage_a, stage_b, shard_bytes=500)
    assert (again.already, again.done) == (5, 1)
    assert _verdicts(stage_a, stage_b).already == 6
    before = _summaries(tree, stage_a, restart=True)
    assert (before.already, before.done) == (0, 6)
    assert len(list_shards(rows)) == 1


def test_a_torn_end_in_the_last_file(tree: Path, tmp_path: Path) -> None:
    _summaries(tree, tmp_path, shard_bytes=2300)
    rows = tmp_path / f"{MISSION.name}.jsonl"
    *_, last = list_shards(rows) if list_shards(rows)[-1].stat().st_size else list_shards(rows)[:-1]
    last.write_bytes(last.read_bytes()[:-30])
    if list_shards(rows)[-1] != last:
        list_shards(rows)[-1].unlink()
    counts = _summaries(tree, tmp_path, shard_bytes=2300)
    assert (counts.already, counts.done) == (5, 1)


def test_captions_in_several_files(demo_photos: list[Path], tmp_path: Path) -> None:
    caption = '{"图片_1": {"object_1": {"bbox_2d": [1, 2, 30, 40], "desc": "BBU设备/华为"}}}'
    rows = tmp_path / "captions.jsonl"
    lists = [(photo,) for photo in demo_photos[:6]]
    run = RunOptions(shard_bytes=900)
    engine = ScriptedEngine(lambda _: caption)
    run_captions(engine, lists, PROMPTS.caption, rows, engine_options={}, run=run)
    assert len(list_shards(rows)) > 2
    assert {found.image for found in read_annotations(rows)} == set(demo_photos[:6])
    (first, *_) = write_parquet(rows)
    table = pq.read_table(first).to_pylist()
    assert json.loads(table[0]["caption"]) == json.loads(caption)
    assert table[0]["sizes_wh"] == [[640, 512]]


def test_parquet(tree: Path, tmp_path: Path) -> None:
    _summaries(tree, tmp_path, shard_bytes=2000, parquet=write_parquet)
    rows = tmp_path / f"{MISSION.name}.jsonl"
    found = []
    for path in list_shards(rows):
        if path.stat().st_size:
            found += pq.read_table(path.with_suffix(".parquet")).to_pylist()
    expected = list(read_rows(rows))
    assert [dict(row["per_image"]) for row in found] == [row["per_image"] for row in expected]
    assert [row["label"] for row in found] == [row["label"] for row in expected]
    assert [json.loads(row["meta"]) for row in found] == [row["meta"] for row in expected]
    assert write_parquet(rows) == []
    with rows.open("a") as file:
        file.write("[]\n")
    with pytest.raises(Exception, match="is not a JSON object"):
        write_parquet(rows)
    assert not list(tmp_path.glob("*.new"))


@pytest.mark.parametrize("written", ["NaN", "null", "7", '"0.9"'])
def test_parquet_holds_no_probability_that_is_none(written: str, tmp_path: Path) -> None:
    rows = tmp_path / "a.jsonl"
    rows.write_text(f'{{"group_id":"1","p_pass":{written}}}\n{{"group_id":"2","p_pass":0.5}}\n')
    (target,) = write_parquet(rows)
    assert pq.read_table(target)["p_pass"].to_pylist() == [None, 0.5]


def test_parquet_holds_what_other_tools_gave_any_row(tmp_path: Path) -> None:
    rows = tmp_path / "a.jsonl"
    rows.write_text('{"group_id":"1"}\n{"group_id":"2","extra":{"site":"S1","n":[1,null]}}\n')
    (target,) = write_parquet(rows)
    first, second = pq.read_table(target)["extra"].to_pylist()
    assert (first, json.loads(second)) == (None, {"site": "S1", "n": [1, None]})
