"""Files in a group's folder that may be photos and are not read are named."""

from __future__ import annotations

import os
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from shenhe.config import load_missions
from shenhe.intake import PhotoLists, PhotoTree
from shenhe.intake.folder import MAX_NAMED
from shenhe.values import Group

MISSION = load_missions().get("挡风板安装检查")
Make = Callable[..., Path]
JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF\0"
BINARY = bytes(range(256)) * 2


def _only(tmp_path: Path, passed_over: Counter[str] | None = None) -> Group:
    (group,) = PhotoTree(tmp_path / "tree").groups(MISSION, passed_over)
    return group


def _left_out(group: Group) -> dict[str, str]:
    return {file.path: file.kind for file in group.left_out}


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.avif", b"\0\0\0\x20ftypavif\0\0\0\0avifmif1", "AVIF"),
        ("a.gif", b"GIF89a....", "GIF"),
        ("a.mp4", b"\0\0\0\x20ftypisom\0\0\0\0isommp42", "MP4"),
        ("a.pdf", b"%PDF-1.7\n", "PDF"),
        ("a.rar", b"Rar!\x1a\x07\x01\0", "RAR"),
        ("a.zip", b"PK\x03\x04....", "ZIP"),
        ("a.raw", BINARY, "unknown"),
        ("照片", JPEG, "JPEG"),
        ("1.jpg_", JPEG, "JPEG"),
        ("1.txt", JPEG, "JPEG"),
        ("1.jpg.part", b"", "unfinished"),
        ("2.avif", b"", "unfinished"),
        ("report.docx", b"PK\x03\x04 no whole archive", "DOCX"),
        ("a.dng", b"version https://git-lfs.github.com/spec/v1\n", "LFS"),
        ("a.mp4", b"<!DOCTYPE html><title>login</title>", "HTML"),
        ("a.zip", b'{"error": "no such key"}', "JSON"),
        ("b.gif", b"404 page not found\n", "unknown"),
        ("old.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + BINARY, "OLE"),
    ],
)
def test_files_that_may_be_photos(
    make_group: Make, tmp_path: Path, name: str, content: bytes, kind: str
) -> None:
    (make_group("g", "1.jpg") / name).write_bytes(content)
    group = _only(tmp_path)
    assert _left_out(group) == {name: kind}
    assert [photo.name for photo in group.photos] == ["1.jpg"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("Thumbs.db", BINARY),
        ("desktop.ini", b"[x]"),
        ("notes.txt", b""),
        ("说明", "只是文字".encode()),
        ("gbk.txt", "只是文字".encode("gbk")),
        ("list.csv", b"a,b\n1,2\n"),
        ("page.html", b"<html>gone</html>"),
        ("voice.amr", b"#!AMR\n" + BINARY),
        ("IMG_1.AAE", b"<?xml version='1.0'?><plist/>"),
        ("empty", b""),
    ],
)
def test_files_that_are_no_photos(
    make_group: Make, tmp_path: Path, name: str, content: bytes
) -> None:
    (make_group("g", "1.jpg") / name).write_bytes(content)
    assert not _only(tmp_path).left_out


def test_office_documents_with_pictures_are_left_out(make_group: Make, tmp_path: Path) -> None:
    folder = make_group("g", "1.jpg")
    for name, member in (("plain.xlsx", "xl/workbook.xml"), ("shown.xlsx", "xl/media/image1.png")):
        with zipfile.ZipFile(folder / name, "w") as document:
            document.writestr(member, "x")
    assert _left_out(_only(tmp_path)) == {"shown.xlsx": "XLSX"}


def test_folders_are_walked_once(make_group: Make, tmp_path: Path) -> None:
    folder = make_group("g", "1.jpg")
    (folder / "补充" / "更多").mkdir(parents=True)
    (folder / "empty").mkdir()
    Image.new("RGB", (8, 8)).save(folder / "补充" / "2.jpg")
    Image.new("RGB", (8, 8)).save(folder / "补充" / "更多" / "3.jpg")
    (folder / "补充" / "notes.txt").write_text("x")
    (folder / "补充" / "back").symlink_to(folder)
    (folder / "up").symlink_to("..")
    (folder / "again").symlink_to("补充")
    (folder / "@eaDir").mkdir()
    Image.new("RGB", (8, 8)).save(folder / "@eaDir" / "1.jpg")
    left_out = _left_out(_only(tmp_path))
    assert sorted(path.rpartition("/")[2] for path in left_out) == ["2.jpg", "3.jpg"]
    assert set(left_out.values()) == {"photo_in_folder"}


def test_broken_links_and_pipes(make_group: Make, tmp_path: Path) -> None:
    folder = make_group("g", "1.jpg")
    (folder / "photo").symlink_to("gone")
    (folder / "circle").symlink_to("circle")
    (folder / "2.jpg").symlink_to("gone.jpg")
    os.mkfifo(folder / "pipe")
    group = _only(tmp_path)
    assert _left_out(group) == {"circle": "broken_link", "photo": "broken_link"}
    assert [photo.name for photo in group.photos] == ["1.jpg", "2.jpg"]  # it fails as missing


def test_the_first_files_left_out_are_named(make_group: Make, tmp_path: Path) -> None:
    folder = make_group("g", "1.jpg")
    (folder / "more").mkdir()
    for number in range(MAX_NAMED + 5):
        (folder / "more" / f"{number}.jpg").touch()
    left_out = _left_out(_only(tmp_path))
    assert len(left_out) == MAX_NAMED + 1
    assert left_out["..."] == "5 more"


def test_a_name_that_is_not_utf8_fails_its_group_alone(make_group: Make, tmp_path: Path) -> None:
    first = make_group("QC-1", "1.jpg", label="审核通过")
    second = make_group("QC-3", "1.jpg", label="审核通过")
    gbk = "QC-2测试".encode("gbk")
    os.makedirs(os.path.join(os.fsencode(first.parent), gbk))
    with open(os.path.join(os.fsencode(second), "照片.jpg".encode("gbk")), "wb") as file:
        file.write(JPEG)
    groups = {group.group_id: group for group in PhotoTree(tmp_path / "tree").groups(MISSION)}
    assert list(groups) == ["QC-1", "QC-2\\xb2\\xe2\\xca\\xd4", "QC-3"]
    assert not groups["QC-1"].problem
    bad = groups["QC-2\\xb2\\xe2\\xca\\xd4"]
    assert bad.code == "bad_name"
    assert "QC-2测试" in bad.problem
    assert "照片.jpg" in groups["QC-3"].problem
    assert PhotoTree(tmp_path / "tree").has_group(MISSION, "pass", bad.group_id)


def test_captions_count_files_that_are_not_read(make_group: Make, tmp_path: Path) -> None:
    folder = make_group("g", "1.jpg")
    (folder / "a.pdf").write_bytes(b"%PDF-1.7\n")
    (folder / "notes.txt").write_text("x")
    (folder / "up").symlink_to("..")
    (folder / "deep").mkdir()
    Image.new("RGB", (8, 8)).save(folder / "deep" / "2.jpg")
    lists = PhotoLists([tmp_path / "tree"])
    assert [photo.name for (photo,) in lists] == ["1.jpg", "2.jpg"]
    assert lists.passed_over == {"PDF not read": 1, "not_a_photo": 1, "linked_folder": 1}
