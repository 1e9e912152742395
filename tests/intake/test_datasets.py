"""Rows of datasets in ms-swift's forms: read, refused with a line, sampled as ms-swift does."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue

from shenhe.errors import FormatError, IntakeError
from shenhe.intake.datasets import BadRow, Dataset, Sampling
from shenhe.intake.dialogues import messages_of, read_dialogue
from shenhe.intake.inline_photos import find_photo
from shenhe.messages import ImagePart

PNG = b"\x89PNG\r\n\x1a\n" + bytes(200)
TEXT = base64.b64encode(PNG).decode()
ASK = [("user", "<image>描述")]


@pytest.mark.parametrize(
    ("row", "turns", "photos", "label"),
    [
        ({"query": "<image>描述", "images": ["a.jpg"], "response": "好"}, ASK, ["a.jpg"], "好"),
        ({"query": "<image>描述", "image": "a.jpg", "solution": "好"}, ASK, ["a.jpg"], "好"),
        ({"Query": "你好", "system": "质检员"}, [("system", "质检员"), ("user", "你好")], [], None),
        (
            {"query": "再说", "history": [["你好", "好"]], "system": None},
            [("user", "你好"), ("assistant", "好"), ("user", "再说")],
            [],
            None,
        ),
        (
            {"query": "再说", "history": '[["你", "好"]]'},
            [*zip(["u", "a", "u"], ["你", "好", "再说"], strict=True)],
            [],
            None,
        ),
        ({"instruction": "看图", "input": "一", "output": "二"}, [("user", "看图\n一")], [], "二"),
        (
            {
                "messages": [
                    {"role": "user", "content": "<image>描述"},
                    {"role": "assistant", "content": "好"},
                ],
                "images": [{"path": "a.jpg", "bytes": None}],
            },
            ASK,
            ["a.jpg"],
            "好",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "image", "image": "a.jpg"},
                            {"type": "text", "text": "描述"},
                        ],
                    }
                ]
            },
            ASK,
            ["a.jpg"],
            None,
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "a.jpg"}}, "描述"],
                    }
                ]
            },
            ASK,
            ["a.jpg"],
            None,
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image"}, {"type": "text", "text": "描述"}],
                    }
                ],
                "images": "a.jpg",
            },
            ASK,
            ["a.jpg"],
            None,
        ),
        (
            {
                "conversations": [
                    {"from": "human", "value": "<image>描述"},
                    {"from": "gpt", "value": "好"},
                ],
                "image": "a.jpg",
            },
            ASK,
            ["a.jpg"],
            "好",
        ),
        (
            {
                "conversation": [{"human": "<image>描述", "assistant": "好"}],
                "images": ["a.jpg", None],
            },
            ASK,
            ["a.jpg"],
            "好",
        ),
        (
            {"messages": '[{"role": "user", "content": "你好"}]', "system": "质检员"},
            [("system", "质检员"), ("user", "你好")],
            [],
            None,
        ),
        ({"query": "<image>描述", "images": [f"data:image/png;base64,{TEXT}"]}, ASK, [PNG], None),
        ({"query": "<image>描述", "images": [{"bytes": TEXT, "path": None}]}, ASK, [PNG], None),
        ({"query": "<image>描述", "images": [TEXT]}, ASK, [PNG], None),
        ({"query": "<image>描述", "images": '["a.jpg"]'}, ASK, ["a.jpg"], None),
        (
            {"images": ["a.jpg"], "objects": [{"poly": [1, 2, 3, 4, 5, 6], "desc": "x"}]},
            [],
            ["a.jpg"],
            None,
        ),
    ],
)
def test_rows_are_read(
    row: dict[str, Any], turns: list[tuple[str, str]], photos: list[object], label: object
) -> None:
    roles = {"u": "user", "a": "assistant"}
    dialogue = read_dialogue(row)
    assert list(dialogue.turns) == [(roles.get(role, role), text) for role, text in turns]
    assert list(dialogue.photos) == photos
    assert dialogue.label == label


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({}, "neither messages nor query nor images"),
        ({"response": "好"}, "neither messages nor query nor images"),
        ({"messages": []}, "neither messages nor query nor images"),
        ({"messages": {}}, "no list"),
        ({"messages": "看"}, "no list"),
        ({"messages": ["看"]}, "a message is no JSON object"),
        ({"messages": [{"text": "看"}]}, "neither role nor content"),
        ({"messages": [{"role": "tool", "content": "看"}]}, "role 'tool'"),
        ({"messages": [{"role": "user", "content": None}]}, "content is no text"),
        ({"messages": [{"role": "system", "content": "看"}]}, "no question"),
        ({"messages": [{"role": "user", "content": [{"type": "video", "video": "v"}]}]}, "'video'"),
        ({"query": "看", "videos": ["v.mp4"]}, "videos"),
        ({"query": 7}, "query is no text"),
        ({"query": "看", "history": [["一"]]}, "history"),
        ({"query": "<image><image>", "images": ["a.jpg"]}, "2 <image> tags, but 1 photos"),
        ({"query": "看", "images": [7]}, "neither path nor bytes"),
        ({"query": "看", "images": ["data:image/png,xx"]}, "base64"),
        ({"query": "看", "images": ["data:image/png;base64,@@"]}, "no base64"),
        ({"query": "看", "images": ["a\0.jpg"]}, "names no file"),
        ({"query": "<ref-object>在<bbox>", "objects": {"ref": ["a"], "bbox": [[1]]}}, "<bbox>"),
        ({"query": "\ud83d"}, "half a character"),
    ],
)
def test_what_a_row_lacks_is_named(row: dict[str, Any], problem: str) -> None:
    with pytest.raises(FormatError, match=problem):
        read_dialogue(row)


def test_a_row_as_deep_as_no_file_of_rows_is_refused() -> None:
    deep: JsonValue = 1
    for _ in range(70):
        deep = [deep]
    with pytest.raises(FormatError, match="deeper"):
        read_dialogue({"query": "看", "note": deep})


def test_photos_stand_at_their_tags_and_the_others_before_the_question() -> None:
    turns = read_dialogue(
        {
            "messages": [
                {"role": "system", "content": "质检员"},
                {"role": "user", "content": "一<image>"},
            ],
            "images": ["1", "2", "3"],
        }
    ).turns
    _, question = messages_of(turns, [Path("1"), Path("2"), Path("3")])
    photos = [part.path.name if isinstance(part, ImagePart) else part for part in question.parts]
    assert photos == ["1", "2", "一", "3"]


def _write(path: Path, *rows: object) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_rows_have_their_id_or_their_line_once(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    first = _write(
        tmp_path / "a.jsonl", {"id": 7, "query": "q"}, {"query": "q"}, {"query": "q", "id": "7"}
    )
    other = _write(tmp_path / "b" / "a.jsonl", {"query": "q"}, {"query": "q"}, {"query": "q"})
    ids = [row.id for row in Dataset([first, other])]
    assert ids[:4] == [
        "7",
        f"{tmp_path.name}/a.jsonl:2",
        f"{tmp_path.name}/a.jsonl:3",
        "b/a.jsonl:1",
    ]
    assert len(set(ids)) == 6


def test_a_bad_line_is_told_in_its_place_and_the_others_go_on(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(
        b'\xef\xbb\xbf{"query": "q"}\n\n[1]\n{"query"\n\xff\n{"query": NaN}\n{"query": "q"}'
    )
    rows = list(Dataset([str(path)]))
    assert [row.line for row in rows] == [1, 3, 4, 5, 6, 7]
    assert [isinstance(row.content, BadRow) for row in rows] == [
        False,
        True,
        True,
        True,
        True,
        False,
    ]


def test_a_key_that_stands_twice_is_told(tmp_path: Path) -> None:
    line = '{"query": "一", "messages": [{"role": "user", "content": "二", "content": "三"}]}'
    path = tmp_path / "a.jsonl"
    path.write_text(f'{line}\n{{"query": "四"}}\n', encoding="utf-8")
    first, second = Dataset([str(path)])
    assert isinstance(first.content, BadRow)
    assert "content stands twice" in first.content.message
    assert not isinstance(second.content, BadRow)
    array = tmp_path / "a.json"
    array.write_text(f"[{line}]", encoding="utf-8")
    with pytest.raises(IntakeError, match="content stands twice"):
        list(Dataset([str(array)]))


def test_json_arrays_and_csv_are_read_too(tmp_path: Path) -> None:
    rows = [{"query": "一", "images": ["a.jpg"]}, 7]
    (tmp_path / "a.json").write_text(json.dumps(rows), encoding="utf-8")
    (tmp_path / "b.csv").write_text('query,response,images\n"二\n三",好,a.jpg\n四,,\n', "utf-8")
    _write(tmp_path / "c.json", {"query": "五"})
    read = list(Dataset([str(tmp_path / name) for name in ("a.json", "b.csv", "c.json")]))
    assert [row.content.turns[-1].text for row in read if not isinstance(row.content, BadRow)] == [
        *("一", "二\n三", "四", "五")
    ]
    assert [row.id.rpartition("/")[2] for row in read] == [
        "a.json:1",
        "a.json:2",
        "b.csv:3",
        "b.csv:4",
        "c.json:1",
    ]


def test_names_of_fields_may_be_others(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.jsonl", {"问": "q"})
    (row,) = Dataset([path], columns={"问": "query"})
    assert not isinstance(row.content, BadRow)


def test_samples_are_those_of_ms_swift(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.jsonl", *({"query": str(n)} for n in range(10)))

    def lines(source: str, **sampling: Any) -> list[int]:
        return [row.line for row in Dataset([source], Sampling(**sampling))]

    assert lines(f"{path}#3") == [1, 2, 3]
    # numpy.random.RandomState(42).permutation(10)[:3] is 8, 1, 5.
    assert lines(path, count=3) == [2, 6, 9]
    assert lines(f"{path}#3", shuffle=True) == [2, 6, 9]
    assert lines(path, count=3, shuffle_all=False) == [1, 2, 3]
    assert lines(path, count=99) == list(range(1, 11))
    assert len(lines(f"{path}#8", count=5)) == 5


def test_a_dataset_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.jsonl", {"query": "q"})
    for source, problem in (
        ("AI-ModelScope/alpaca#500", "datasets of a hub"),
        (str(tmp_path), "name its files"),
        (f"{path}#2", "it has 1 rows"),
        (f"{path}#0", "0 rows"),
        (_write(tmp_path / "a.txt"), ".jsonl"),
    ):
        with pytest.raises(IntakeError, match=problem):
            Dataset([source])


def test_photos_are_found_where_ms_swift_looks_or_beside_the_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = tmp_path / "data" / "a.jsonl"
    for name in ("here", "data", "root"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.jpg").write_bytes(b"x")
        (tmp_path / name / "all.jpg").write_bytes(b"x")
    monkeypatch.chdir(tmp_path / "here")
    environ = {"ROOT_IMAGE_DIR": str(tmp_path / "root")}
    for name, folder in (
        *(("here.jpg", "here"), ("data.jpg", "data"), ("root.jpg", "root")),
        *(("all.jpg", "here"), ("none.jpg", "here")),
    ):
        assert find_photo(name, dataset, environ) == tmp_path / folder / name
