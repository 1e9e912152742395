"""Photos, folders and lists."""

from __future__ import annotations

import json
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from shenhe.errors import IntakeError
from shenhe.intake import PhotoLists


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("img-10.JPG", "img-2.png", "sub/深 1.heic", ".hidden/x.jpg", "notes.txt"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "photos"


def test_a_folder_gives_its_photos_in_natural_order(folder: Path) -> None:
    lists = PhotoLists([folder])
    assert list(lists) == [
        (folder / "img-2.png",),
        (folder / "img-10.JPG",),
        (folder / "sub" / "深 1.heic",),
    ]
    assert len(lists) == 3
    assert lists.passed_over == {"hidden": 1, "not_a_photo": 1}


def test_a_list_gives_photos_that_share_a_prompt(folder: Path) -> None:
    path = folder / "list.jsonl"
    rows = [{"images": ["img-2.png", "sub/深 1.heic"], "id": 7}, {"images": ["/x/y.jpg"]}]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n", encoding="utf-8")
    assert list(PhotoLists([path])) == [
        (folder / "img-2.png", folder / "sub" / "深 1.heic"),
        (Path("/x/y.jpg"),),
    ]


def test_a_photo_named_twice_is_listed_once(folder: Path) -> None:
    photo = folder / "img-2.png"
    lists = PhotoLists([photo, folder / "sub" / ".." / "img-2.png"])
    assert list(lists) == [(photo,)]
    assert lists.passed_over == {"named_again": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "line 1 is not"),
        ('{"image": "a.jpg"}', "line 1 is not"),
        ('{"images": []}', "one path or more"),
        ('{"images": [3]}', "one path or more"),
        ("[]", "line 1 is not"),
    ],
)
def test_an_invalid_line_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "list.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(IntakeError, match=message):
        PhotoLists([path])


def test_sources_that_are_no_photos(folder: Path) -> None:
    with pytest.raises(IntakeError, match="neither a photo"):
        PhotoLists([folder / "notes.txt"])
    with pytest.raises(IntakeError, match="no such photo"):
        PhotoLists([folder / "nowhere"])
    # A photo that is missing is that photo's failure, not the end of the run.
    assert list(PhotoLists([folder / "gone.jpg"])) == [(folder / "gone.jpg",)]


def test_the_database_is_closed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect
    connections: list[sqlite3.Connection] = []

    def record(*args: Any, **options: Any) -> sqlite3.Connection:
        connections.append(connect(*args, **options))
        return connections[-1]

    monkeypatch.setattr(sqlite3, "connect", record)
    lists = PhotoLists([folder])
    del lists
    with pytest.raises(IntakeError):
        PhotoLists([folder / "nothing"])
    named = PhotoLists([folder])
    collector = threading.Thread(target=named.close)  # garbage is collected in any thread
    collector.start()
    collector.join()
    assert len(connections) == 3
    for db in connections:
        with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
            db.execute("SELECT 1")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("nosuch://bucket/x.jpg", "nosuch:// is unknown"),
        ("gs://bucket/x.jpg", "gcsfs"),
        ("a\0b.jpg", "zero byte"),
        ("\udcff.jpg", "half a character"),
        ("s3://[bucket/x.jpg", "no URL"),
    ],
)
def test_a_list_with_an_unreachable_path(image: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "list.jsonl"
    rows = [{"images": ["x.jpg"]}, {"images": ["y.jpg", image]}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(IntakeError, match=message) as caught:
        PhotoLists([path])
    assert f"{path}: line 2: " in str(caught.value)
