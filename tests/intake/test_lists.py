"""Photos, folders and lists."""

from __future__ import annotations

import json
from pathlib import Path

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
    found = PhotoLists([folder])
    assert list(found) == [
        (folder / "img-2.png",),
        (folder / "img-10.JPG",),
        (folder / "sub" / "深 1.heic",),
    ]
    assert len(found) == 3
    assert found.passed_over == {"hidden": 1, "not_a_photo": 1}


def test_a_list_gives_photos_that_are_seen_together(folder: Path) -> None:
    path = folder / "list.jsonl"
    rows = [{"images": ["img-2.png", "sub/深 1.heic"], "id": 7}, {"images": ["/x/y.jpg"]}]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n", encoding="utf-8")
    assert list(PhotoLists([path])) == [
        (folder / "img-2.png", folder / "sub" / "深 1.heic"),
        (Path("/x/y.jpg"),),
    ]


def test_the_same_photo_named_twice_is_done_once(folder: Path) -> None:
    photo = folder / "img-2.png"
    found = PhotoLists([photo, folder / "sub" / ".." / "img-2.png"])
    assert list(found) == [(photo,)]
    assert found.passed_over == {"named_again": 1}


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
def test_a_bad_line_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "list.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(IntakeError, match=message):
        PhotoLists([path])


def test_sources_that_are_none(folder: Path) -> None:
    with pytest.raises(IntakeError, match="neither a photo"):
        PhotoLists([folder / "notes.txt"])
    with pytest.raises(IntakeError, match="no such photo"):
        PhotoLists([folder / "nowhere"])
    # A photo that is missing is that photo's failure, not the end of the run.
    assert list(PhotoLists([folder / "gone.jpg"])) == [(folder / "gone.jpg",)]
