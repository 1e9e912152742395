"""Typed readers: rows of this version, of older ones, of other tools, and what is none."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shenhe.errors import DamagedRowError, RunError
from shenhe.row_types import CaptionRow, Failure, SummaryRow, VerdictRow
from shenhe.rows.manifest import manifest_file
from shenhe.rows.readers import (
    read_at,
    read_captions,
    read_failures,
    read_keyed,
    read_summaries,
    read_verdicts,
    read_with_offsets,
)
from shenhe.shards import shard_path
from shenhe.values import group_key, photos_key

META: dict[str, object] = {"prompt_hash": "p", "checkpoint": "c", "answers": {}}
GROUP: dict[str, object] = {"group_id": "g", "mission": "m", "label": "pass"}
SUMMARY = GROUP | {
    "images": ["/photos/1.jpg", "s3://bucket/2.jpg"],
    "per_image": {"图片_1": "无关图片"},
    "timestamp": "t",
    "meta": META,
}
VERDICT = GROUP | {
    "verdict": "通过",
    "reason": "",
    "p_pass": 0.75,
    "status": "decided",
    "raw": "",
    "timestamp": "t",
    "meta": META,
}
CAPTION: dict[str, object] = {
    "images": ["/photos/1.jpg"],
    "caption": {"图片_1": {"object_1": {"bbox_2d": [1, 2, 3, 4], "desc": "螺丝"}}},
    "sizes_wh": [[640, 480]],
    "raw": "",
    "repairs": [],
    "timestamp": "t",
    "meta": META | {"truncated": False, "resized_wh": [[320, 240]]},
}
READERS: dict[str, tuple[Callable[[Path], Iterator[object]], dict[str, object]]] = {
    "a Stage-A row": (read_summaries, SUMMARY),
    "a verdict row": (read_verdicts, VERDICT),
    "a caption row": (read_captions, CAPTION),
}


def _write(path: Path, *rows: object) -> Path:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")
    return path


def _own(path: Path, *rows: object) -> Path:
    """Write rows with a manifest beside them, as an output of shenhe has one."""
    manifest_file(path).write_text("{}")
    return _write(path, *rows)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.jsonl"


@pytest.mark.parametrize("kind", READERS)
def test_rows_of_all_shards_are_typed(kind: str, path: Path) -> None:
    read, row = READERS[kind]
    _write(path, row, row)
    _write(shard_path(path, 2), row)
    expected = {name: value for name, value in row.items() if name != "meta"}
    rows = list(read(path))
    assert len(rows) == 3
    for typed in rows:
        assert isinstance(typed, SummaryRow | VerdictRow | CaptionRow)
        assert json.loads(typed.to_json()).items() >= expected.items()


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"meta": META | {"answers": {"a": {}}}}, "meta.answers.a.raw: Field required"),
        ({"meta": META | {"why": "unsure"}}, "meta.why: Input should be a valid list"),
    ],
)
def test_another_form_is_named_by_file_line_and_field(
    kind: str, change: dict[str, object], problem: str, path: Path
) -> None:
    read, row = READERS[kind]
    _own(path, row)
    further = _write(shard_path(path, 2), row, row | change, row)
    with pytest.raises(RunError) as error:
        list(read(path))
    assert str(error.value).startswith(f"{further}: line 2 is not {kind}: {problem}")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"meta": None}, "meta: Input should be a valid dictionary"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"timestamp": 5}, "timestamp: Input should be a valid string"),
    ],
)
def test_captions_are_as_shenhe_writes_them(
    change: dict[str, object], problem: str, path: Path
) -> None:
    _write(path, CAPTION, CAPTION | change)
    with pytest.raises(
        RunError, match=re.escape(f"{path}: line 2 is not a caption row: {problem}")
    ):
        list(read_captions(path))


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"{", "line 2 is not JSON"),
        (b"[]", "line 2 is not a JSON object"),
        (bytes(20), "line 2 is not JSON"),
        (b'{"group_id": "\xff"}', "line 2 is not JSON"),
        (b"[" * 5000, "line 2 is not JSON"),
    ],
)
def test_a_damaged_row_is_named(kind: str, line: bytes, problem: str, path: Path) -> None:
    read, row = READERS[kind]
    _own(path, row)
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(DamagedRowError, match=problem):
        list(read(path))


@pytest.mark.parametrize("kind", READERS)
def test_files_without_a_row(kind: str, path: Path) -> None:
    read, row = READERS[kind]
    assert list(read(path)) == []
    path.touch()
    assert list(read(path)) == []
    _own(path)
    path.write_text(json.dumps(row)[:-9])
    assert list(read(path)) == []  # its process died while it was written


@pytest.mark.parametrize("kind", READERS)
def test_what_editors_and_other_tools_change(kind: str, path: Path) -> None:
    read, row = READERS[kind]
    text = json.dumps(row, ensure_ascii=True)  # with escapes, with spaces
    path.write_bytes(codecs.BOM_UTF8 + f"{text}\r\n{text}".encode())  # and no end of the last line
    assert len(list(read(path))) == 2


def test_rows_of_older_versions(path: Path) -> None:
    answer = {"raw": "x", "finish_reason": "stop", "attempts": 1, "prompt_tokens": 1}
    older = META | {"answers": {"图片_1": answer | {"new_tokens": 1}}}
    (row,) = read_summaries(_write(path, SUMMARY | {"meta": older}))
    assert (row.meta.inputs_hash, row.meta.left_out, row.damaged_inside("图片_1")) == (None, [], "")
    (caption,) = read_captions(_write(path, CAPTION))
    assert caption.meta.facts == []
    (verdict,) = read_verdicts(_write(path, VERDICT | {"p_pass": "0.9"}))
    assert verdict.p_pass is None


def test_rows_give_the_locations_of_their_photos(path: Path) -> None:
    (row,) = read_summaries(_write(path, SUMMARY))
    assert list(map(str, row.photos)) == row.images
    assert [photo.name for photo in row.photos] == ["1.jpg", "2.jpg"]
    (caption,) = read_captions(_write(path, CAPTION))
    assert caption.photos == (Path("/photos/1.jpg"),)


def test_rows_are_read_again_by_their_offsets(path: Path) -> None:
    _write(path, SUMMARY, SUMMARY | {"group_id": "中"}, SUMMARY | {"group_id": "h"})
    offsets = {row.group_id: offset for offset, row in read_with_offsets(path, SummaryRow)}
    for group_id, offset in offsets.items():
        assert read_at(path, offset, SummaryRow).group_id == group_id
    with pytest.raises(RunError, match="line 2 is not a verdict row: a row has neither"):
        read_at(path, offsets["中"], VerdictRow)
    with pytest.raises(RunError, match="line 1 is not JSON"):
        read_at(path, 1, SummaryRow)
    with pytest.raises(RunError, match="cannot be read: No such file"):
        read_at(path.with_name("gone.jsonl"), 0, SummaryRow)


def test_keys_are_read_without_checking_the_rest(path: Path) -> None:
    _write(path, SUMMARY, GROUP | {"per_image": 5})
    first, second = read_keyed(path, SummaryRow)
    assert first.key == second.key == group_key("m", "pass", "g")
    assert first.parse().group_id == "g"
    with pytest.raises(RunError, match="line 2 is not a Stage-A row: 'per_image'"):
        second.parse()


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({}, "a row lacks 'group_id' or 'images'"),
        ({"images": "a"}, "'images' of a row is no list of texts"),
        (GROUP | {"group_id": None}, "a row lacks 'group_id'"),
        (GROUP | {"mission": ["m"]}, "a row lacks 'mission'"),
        (GROUP | {"label": "maybe"}, "'label' of a row is 'maybe': neither pass nor fail"),
    ],
)
def test_a_row_without_a_key_is_named(row: object, problem: str, path: Path) -> None:
    _own(path, row)
    for kind, rows in (
        ("a Stage-A row", read_keyed(path, SummaryRow)),
        ("a failure", read_keyed(path, Failure)),
        ("a failure", read_failures(path)),
    ):
        with pytest.raises(RunError, match=re.escape(f"{path}: line 1 is not {kind}: {problem}")):
            list(rows)


def test_failures_of_groups_and_of_captioned_photos(path: Path) -> None:
    failure = {"item": "1.jpg", "code": "missing", "message": "no file", "timestamp": "t"}
    of_group, of_photos = read_failures(
        _write(path, GROUP | failure | {"schema": 1, "session": "s"}, {"images": ["b"]} | failure)
    )
    assert isinstance(of_group, Failure)
    assert (of_group.key, of_group.session) == (group_key("m", "pass", "g"), "s")
    assert of_photos.key == photos_key(["b"])
    assert [each.code for each in (of_group, of_photos)] == ["missing", "missing"]


def test_failures_of_other_tools_need_a_key_alone(path: Path) -> None:
    (failure,) = read_failures(_write(path, GROUP | {"group_id": 7, "code": 404, "colour": "red"}))
    assert isinstance(failure, Failure)
    assert (failure.group_id, failure.code, failure.message, failure.raw) == ("7", "404", "", None)
    assert list(read_failures(path.with_name("none.failures.jsonl"))) == []
