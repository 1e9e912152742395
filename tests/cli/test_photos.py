"""`shenhe photos`: the list that goes back to whoever took the photos."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook
from PIL import Image, ImageDraw, ImageFilter

from shenhe.cli.main import exit_code
from tests.photos import test_facts
from tests.photos.exif_blocks import exif_block

MISSION = "挡风板安装检查"
ORDER = "QC-20230222-0000297"


def scene(seed: int) -> Image.Image:
    """A scene with fine lines, as of cables and vents: a sharp photo has such."""
    image = test_facts.scene(seed)
    draw = ImageDraw.Draw(image)
    for x in range(0, image.width, 16):
        draw.line((x, 0, x, image.height), fill=(20, 20, 20), width=2)
    return image


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Groups with something to tell of each kind, one without, and a label folder misspelled."""
    root = tmp_path_factory.mktemp("photos") / "tree"
    passed = root / MISSION / "审核通过"

    def put(group: str, name: str, image: Image.Image, **options: Any) -> None:
        (passed / group).mkdir(parents=True, exist_ok=True)
        image.save(passed / group / name, quality=90, **options)

    put(ORDER, "=1+1.jpg", scene(1), exif=exif_block("2021:01:01 08:00:00"))
    put(ORDER, "2.jpg", scene(2).filter(ImageFilter.GaussianBlur(8)))
    put(ORDER, "3.jpg", scene(3).point(lambda value: value // 10))
    put("QC-2", "a.jpg", scene(1), exif=exif_block("2021:01:01 08:00:00"))
    put("QC-2", "b.jpg", scene(4))
    put("QC-3", "a.jpg", scene(4).resize((320, 240)))
    put("QC-4", "a.jpg", scene(5))
    (passed / "QC-4" / "b.jpg").write_bytes(b"no photo")
    (passed / "QC-4" / "c.pdf").write_bytes(b"%PDF-1.7")
    (root / MISSION / "审核已过" / "QC-5").mkdir(parents=True)
    scene(6).save(root / MISSION / "审核已过" / "QC-5" / "1.jpg")
    return root


def test_rows(tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "list.jsonl"
    assert exit_code(["photos", str(tree), "--output", str(path)]) == 1  # not all was looked at
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    flags = {
        row["group_id"]: {photo["name"]: photo["flags"] for photo in row["photos"]} for row in rows
    }
    assert flags.pop("QC-5") == {}
    assert flags == {
        "QC-2": {"a.jpg": ["reused"], "b.jpg": ["near_duplicate"]},
        "QC-3": {"a.jpg": ["near_duplicate"]},
        "QC-4": {"a.jpg": [], "b.jpg": []},
        ORDER: {"2.jpg": ["blurred"], "3.jpg": ["dark"], "=1+1.jpg": ["reused", "old"]},
    }
    by_group = {row["group_id"]: row for row in rows}
    assert [use["group_id"] for use in by_group["QC-2"]["reused"]] == [ORDER, "QC-3"]
    assert by_group["QC-4"]["left_out"] == [{"path": "c.pdf", "kind": "PDF"}]
    assert by_group["QC-4"]["photos"][1]["code"] == "not_a_photo"
    assert "a label folder in another spelling?" in by_group["QC-5"]["problem"]
    assert by_group["QC-5"]["label_meant"] == "审核通过"
    assert by_group["QC-5"]["folder"].endswith("审核已过/QC-5")
    told = capsys.readouterr().err
    assert "photos: 5 groups, 8 photos" in told
    assert "别的工单用过 used in another group: 2 photos" in told


@pytest.mark.parametrize(("language", "title"), [("zh", "照片"), ("en", "photos")])
def test_sheet_is_text_in_both_languages(
    tree: Path, tmp_path: Path, language: str, title: str
) -> None:
    path = tmp_path / "list.xlsx"
    exit_code(["photos", str(tree), "--output", str(path), "--lang", language])
    book = load_workbook(path)
    assert book.sheetnames == [title]
    header, *rows = book[title].iter_rows(values_only=True)
    cells = [dict(zip(header, row, strict=True)) for row in rows]
    assert len(cells) == 5
    blurred, reused = (
        ("模糊", "别的工单用过") if language == "zh" else ("blurred", "used in another group")
    )
    order = next(row for row in cells if ORDER in row.values())
    assert order[blurred] == "2.jpg"
    assert order[reused] == "'=1+1.jpg → QC-2"
    assert {cell.data_type for row in book[title].iter_rows() for cell in row if cell.value} == {
        "s"
    }


def test_earlier_lists_are_compared(tree: Path, tmp_path: Path) -> None:
    later = tmp_path / "later" / MISSION / "QC-9"
    later.mkdir(parents=True)
    scene(5).save(later / "1.jpg", quality=70)
    first, second = tmp_path / "week-46.jsonl", tmp_path / "list.jsonl"
    exit_code(["photos", str(tree), "--output", str(first)])
    options = ["photos", str(tmp_path / "later"), "--output", str(second)]
    assert exit_code([*options, "--earlier", str(first)]) == 0
    (row,) = map(json.loads, second.read_text(encoding="utf-8").splitlines())
    assert row["flags"] == ["near_duplicate"]
    assert (row["reused"][0]["group_id"], row["reused"][0]["run"]) == ("QC-4", "week-46.jsonl")


def test_what_cannot_be_done_is_one_line(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(["photos", str(tree), "--output", str(tmp_path / "list.csv")]) == 2
    assert "end its name in .jsonl or .xlsx" in capsys.readouterr().err
    options = ["photos", str(tree), "--output", str(tmp_path / "list.jsonl")]
    assert exit_code([*options, "--earlier", str(tmp_path / "nothing")]) == 2
    assert not list(tmp_path.iterdir())
