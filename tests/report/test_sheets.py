"""Acceptance sheets: read back by pdftotext and the libraries of their forms, and recomputed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from docx import Document
from docx.oxml.ns import qn
from PIL import Image

from shenhe.cli.report import ReportOptions, choice_of
from shenhe.errors import OptionError, RunError
from shenhe.evaluation import read_outcomes, score_verdicts
from shenhe.languages import LANGUAGES, Language
from shenhe.report.choice import SheetChoice
from shenhe.report.page import write_report
from shenhe.report.sheet.words import sheet_words
from shenhe.report.sheet.write import SheetForm, SheetRequest, write_sheet
from shenhe.review import Index
from shenhe.review.index import Filters
from shenhe.row_types import Evidence, Failure
from shenhe.rows.decision_rows import Decision, Opinion
from shenhe.rows.outcomes import Truth
from shenhe.rows.promises import Fingerprint, MissionPromise, Promise, write_promise
from shenhe.values import EvidenceItem
from tests.conftest import MISSION
from tests.report.recompute import recompute
from tests.review.runs import FAIL, PASS, TIME, Group, write_captions, write_run
from tests.warm import SHENHE

OTHER = "另一任务*"
HOSTILE = "=cmd|' /C calc'!A0 \u202e\x07<b>😀"
LONG = "很长的理由，" * 1700
FORMS: tuple[SheetForm, ...] = ("xlsx", "docx", "pdf")


def _groups() -> list[Group]:
    held = Evidence(rules="a" * 16, items=[EvidenceItem("地排处接地螺丝", "need", "missing")])
    groups = [Group(f"QC-1-{n}", PASS, "pass", 0.99) for n in range(20)]
    groups += [Group(f"QC-2-{n}", PASS, "fail", 0.7, extra={"区域": "东"}) for n in range(3)]
    groups += [Group(f"QC-3-{n}", FAIL, "fail", 0.2, extra={"区域": "西"}) for n in range(9)]
    groups += [
        Group(
            "QC-4",
            None,
            "fail",
            0.9,
            "evidence_missing: 缺少: 地排处接地螺丝",
            why=("evidence_missing",),
            evidence=held,
        ),
        Group(HOSTILE, PASS, "fail", None, LONG, mission=OTHER),
        Group("QC-5", FAIL, "pass", 0.3, mission=OTHER),
        Group("QC-6", PASS, None, 0.8, mission=OTHER),
    ]
    return groups


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with decisions, captions, a photo that is gone, and a group without Stage-A."""
    folder = tmp_path_factory.mktemp("sheets")
    photo = folder / "照片 1.png"
    Image.new("RGB", (640, 480), (90, 120, 150)).save(photo)
    run = write_run(folder / "第 48 周", _groups(), [photo, folder / "gone.jpg"])
    write_captions(run, [photo])
    rows = next((run / "stage_a").glob("另一*"))
    lines = rows.read_text(encoding="utf-8").splitlines(keepends=True)
    rows.write_text("".join(lines[:-1]), encoding="utf-8")
    index = Index(run)
    for key, opinion in {
        "QC-1-0": Opinion(choice="不通过", comment="标签两端不一致", faults=("未拧紧", "生锈")),
        "QC-2-0": Opinion(choice="通过", comment="原结论有误", label_wrong=True),
        "QC-4": Opinion(choice="不通过", comment="没有拍到地排"),
        "QC-6": Opinion(choice="待定"),
    }.items():
        group = next(each for each in _entries(index) if each.group_id == key)
        index.decisions.add(Decision.on(group, opinion, "李喆"))
    return run


def _entries(index: Index) -> Iterator[Any]:
    for number in range(1, len(_groups()) + 1):
        group = index.group(number)
        assert group is not None
        yield group.entry


@pytest.fixture(scope="module")
def sheets(run_dir: Path) -> Callable[[SheetForm, Language], Path]:
    """Gives the sheet of the whole run in a form and a language, written once."""

    def give(form: SheetForm, language: Language) -> Path:
        path = run_dir.parent / f"sheet-{language}.{form}"
        if not path.exists():
            counts = write_sheet(SheetRequest(run_dir, form, language), path)
            assert counts.shown == counts.groups == len(_groups())
        return path

    return give


@pytest.mark.parametrize("language", LANGUAGES)
def test_share_of_the_workbook_is_that_of_evaluate(
    run_dir: Path, sheets: Callable[..., Path], language: Language
) -> None:
    """The formulas are evaluated from the cells of the workbook alone."""
    words = sheet_words(language)
    path = sheets("xlsx", language)
    book = openpyxl.load_workbook(path)
    computed = recompute(book, words["sheet_totals"])
    rows = list(book[words["sheet_totals"]].iter_rows(2, values_only=True))
    shown = {(mission, figure): value for mission, figure, value, _ in rows}
    assert len(shown) == len(rows)
    bases: dict[Truth, str] = {"labels": "label", "decisions": "decision"}
    for truth, basis in bases.items():
        for mission, scores in score_verdicts(read_outcomes(run_dir, truth)).items():
            share = scores.false_pass
            low, high = share.interval() if share.total else (None, None)
            for figure, value in {
                f"{basis}_fail": share.total,
                f"{basis}_fail_wrong": share.count,
                f"{basis}_false_pass": share.value,
                f"{basis}_false_pass_low": low,
                f"{basis}_false_pass_high": high,
                f"{basis}_false_fail": scores.false_fail.value,
            }.items():
                key = (mission or words["all_missions"], words[f"figure_{figure}"])
                assert shown[key] == (None if value is None else pytest.approx(value)), key
    # Each figure is what its formula gives, also those of counts.
    for key, value in shown.items():
        assert computed[key] == ("" if value is None else pytest.approx(value, abs=1e-12)), key
    assert computed[words["all_missions"], words["figure_label_false_pass"]] == 3 / 13


def test_workbook_holds_numbers_times_and_text(sheets: Callable[..., Path]) -> None:
    book = openpyxl.load_workbook(sheets("xlsx", "zh"))
    assert book.sheetnames == ["说明", "合计", "组", "误放行"]
    sheet = book["组"]
    assert sheet.freeze_panes == "B2"
    head = [cell.value for cell in sheet[1]]
    assert sheet.auto_filter.ref == f"A1:{sheet.cell(1, len(head)).column_letter}{sheet.max_row}"
    assert sheet.max_row == len(_groups()) + 1
    rows = {row[0].value: dict(zip(head, row, strict=True)) for row in sheet.iter_rows(2)}
    row = rows["QC-1-0"]
    assert row["通过概率"].value == 0.99
    assert row["照片数"].value == 2
    assert (row["模型结论"].value, row["人工结论"].value, row["验收结论"].value) == (
        PASS,
        FAIL,
        FAIL,
    )
    assert row["不合格原因"].value == "未拧紧、生锈"
    assert (row["改判"].value, row["误放行"].value, row["审核人"].value) == ("是", "是", "李喆")
    time = row[next(name for name in head if name.startswith("判定时间"))]
    assert isinstance(time.value, datetime)
    assert time.is_date
    assert re.search(r"判定时间 \(UTC([+-]\d\d:\d\d)?\)", " ".join(head))
    assert rows["QC-2-0"]["原人工结论"].value == PASS  # put right in review
    assert rows["QC-4"]["未决原因"].value == "缺少必要内容"
    assert (rows["QC-2-1"]["区域"].value, rows["QC-3-1"]["区域"].value) == ("东", "西")
    hostile = next(row for name, row in rows.items() if "calc" in name)
    assert hostile["组"].value.startswith("'=cmd")
    assert all(cell.data_type != "f" for row in sheet.iter_rows() for cell in row)
    passes = {row[0].value for row in book["误放行"].iter_rows(2)}
    assert passes == {"QC-1-0", "QC-2-1", "QC-2-2", hostile["组"].value}
    assert "误放行率至多" in " ".join(str(cell.value) for row in book["说明"] for cell in row)


def test_pdf_gives_its_chinese_back(sheets: Callable[..., Path]) -> None:
    assert shutil.which("pdftotext"), "apt-get install poppler-utils"
    path = sheets("pdf", "zh")
    text = _pdf_text(path)
    for shown in (
        "验收单",
        "第 1 页，共",
        "李喆",
        "标签两端不一致",
        "没有拍到地排",
        "缺少必要内容",
    ):
        assert shown in text
    joined = re.sub(r"\s", "", text)
    assert "误放行率上限：人工判不合格的13组里机器放行3组，误放行率至多50.3%" in joined
    assert joined.count("很长的理由，") >= 1690  # some are parted by the head of a page
    assert "找不到照片文件" in text
    assert "结果里没有这一组的阶段A记录" in joined
    assert "复验与签字" in text
    # What the font lacks is seen, and named: nothing vanishes.
    assert "\\u202e\\x07<b>□" in joined
    assert "U+1F600" in text
    fonts = subprocess.run(["pdffonts", path], capture_output=True, text=True, check=True).stdout
    rows = fonts.splitlines()[2:]
    assert len(rows) == 1
    assert "NotoSansCJKSC" in rows[0]
    assert re.search(r"yes yes yes", rows[0])  # embedded, a subset, with a map to Unicode
    images = subprocess.run(
        ["pdfimages", "-list", path], capture_output=True, text=True, check=True
    )
    assert len(images.stdout.splitlines()) > 10


def test_document_is_read_by_its_own_library(sheets: Callable[..., Path]) -> None:
    file = Document(str(sheets("docx", "zh")))
    section = file.sections[0]
    assert section.page_width is not None
    assert round(section.page_width.mm) == 210
    tables = file.tables
    assert [cell.text for cell in tables[1].rows[0].cells][:2] == ["任务", "组数"]
    listed = tables[2]
    assert len(listed.rows) == len(_groups()) + 1
    marks = [{child.tag for child in row._tr.get_or_add_trPr()} for row in listed.rows[:3]]
    assert marks[0] == {qn("w:tblHeader"), qn("w:cantSplit")}
    assert marks[2] == {qn("w:cantSplit")}
    text = "\n".join(cell.text for table in tables for row in table.rows for cell in row.cells)
    for shown in ("李喆", "标签两端不一致", "找不到照片文件", "误放行率至多 50.3%", "\\u202e\\x07"):
        assert shown in text
    assert LONG[:-1] in text
    paragraphs = "\n".join(paragraph.text for paragraph in file.paragraphs)
    assert "复验与签字" in paragraphs
    assert "第 48 周" in section.header.paragraphs[0].text
    fields = section.footer._element.xml
    assert "NUMPAGES" in fields
    pictures = [
        name for name in zipfile.ZipFile(sheets("docx", "zh")).namelist() if "media" in name
    ]
    assert pictures


@pytest.mark.parametrize("form", ["docx", "pdf"])
def test_english_sheets_speak_english(sheets: Callable[..., Path], form: SheetForm) -> None:
    path = sheets(form, "en")
    text = _pdf_text(path) if form == "pdf" else _docx_text(path)
    for shown in ("Acceptance sheet", "Bound on false passes", "at most 50.3%", "Second check"):
        assert shown in " ".join(text.split())
    own = {*sheet_words("zh").values()}
    foreign = {"人工结论", "原人工结论", "模型结论", "未决原因", "清单", "合计", "签字", "审核人"}
    assert foreign <= {*own, "签字"}
    assert not [word for word in foreign if word in text.replace("原人工结论有误", "")]


def _pdf_text(path: Path) -> str:
    done = subprocess.run(["pdftotext", "-layout", path, "-"], capture_output=True, check=True)
    return done.stdout.decode()


def _docx_text(path: Path) -> str:
    file = Document(str(path))
    cells = (cell.text for table in file.tables for row in table.rows for cell in row.cells)
    return "\n".join([*(paragraph.text for paragraph in file.paragraphs), *cells])


@pytest.mark.parametrize(
    ("choice", "groups"),
    [
        (SheetChoice(groups=("QC-4",)), 1),
        (SheetChoice(missions=(OTHER,)), 3),
        (SheetChoice(fields=(("区域", "东"), ("区域", "西"))), 12),
        (SheetChoice(groups=("QC-3-1::fail", "QC-2-1"), fields=(("区域", "西"),)), 1),
    ],
)
def test_part_of_a_run(run_dir: Path, tmp_path: Path, choice: SheetChoice, groups: int) -> None:
    path = tmp_path / "part.xlsx"
    counts = write_sheet(SheetRequest(run_dir, "xlsx", choice=choice), path)
    assert counts.groups == groups
    book = openpyxl.load_workbook(path, read_only=True)
    assert len(list(book["组"].rows)) == groups + 1
    cover = " ".join(str(row[1]) for row in book["说明"].values if len(row) > 1)
    assert all(each in cover for each in choice.describe())
    # The bound is that of the missions in the run: a work order alone says nothing.
    assert "人工判不合格的 12 组" in cover or "人工判不合格的 1 组" in cover


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (SheetChoice(groups=("QC-9",)), "--group: not in this run: QC-9"),
        (SheetChoice(missions=("没有的",)), "--mission 没有的: not in this run, which has"),
        (SheetChoice(fields=(("区域", "北"),)), "their fields are 区域 (东, 西)"),
    ],
)
def test_choice_of_nothing_is_told(
    run_dir: Path, tmp_path: Path, choice: SheetChoice, told: str
) -> None:
    path = tmp_path / "part.pdf"
    with pytest.raises(RunError, match=re.escape(told)):
        write_sheet(SheetRequest(run_dir, "pdf", choice=choice), path)
    assert not path.exists()


@pytest.mark.parametrize("form", ["docx", "pdf"])
def test_groups_that_are_not_shown_are_told_of(
    run_dir: Path, tmp_path: Path, form: SheetForm
) -> None:
    path = tmp_path / f"few.{form}"
    counts = write_sheet(SheetRequest(run_dir, form, max_groups=3), path)
    assert (counts.groups, counts.shown) == (len(_groups()), 3)
    text = _pdf_text(path) if form == "pdf" else _docx_text(path)
    assert f"本单列出 3 组，另有 {len(_groups()) - 3} 组没有列出" in "".join(text.split("\n"))
    assert "QC-6" in text  # 待定 comes first


def test_promise_that_decided_is_stated(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [Group("QC-1", PASS, "fail")], [])
    part = MissionPromise(threshold=1.0, failed=300, slipped=2, fingerprint=Fingerprint())
    promise = Promise(
        max_false_pass=0.05, confidence=0.95, timestamp="t", missions={"挡风板安装检查": part}
    )
    rows = next((run / "stage_b").glob("*.jsonl"))
    row = json.loads(rows.read_text(encoding="utf-8"))
    row["meta"]["promise"] = promise.hash
    rows.write_text(json.dumps(row) + "\n", encoding="utf-8")
    path, file = tmp_path / "sheet.pdf", tmp_path / "kept.json"
    write_sheet(SheetRequest(run, "pdf"), path)
    assert f"按承诺 {promise.hash[:8]} 判定" in _pdf_text(path)
    write_promise(file, promise)
    write_sheet(SheetRequest(run, "pdf", promise=file), path)
    text = re.sub(r"\s", "", _pdf_text(path))
    assert "机器放行的不超过5%（95%把握" in text
    assert "依据300个人工判不合格的组" in text
    write_promise(file, promise.model_copy(update={"confidence": 0.9}))
    with pytest.raises(RunError, match="but these groups were decided by"):
        write_sheet(SheetRequest(run, "pdf", promise=file), path)


def test_rows_of_other_tools_and_of_earlier_versions(tmp_path: Path) -> None:
    """Rows without photos, lines, times, labels or metadata, as others write them."""
    folder = tmp_path / "old"
    for stage, row in {
        "stage_a": {"group_id": "G1", "mission": "m", "per_image": {"image_1": "螺丝×1"}},
        "stage_b": {"group_id": "G1", "mission": "m", "verdict": "通过", "reason": "ok"},
    }.items():
        (folder / stage).mkdir(parents=True)
        line = json.dumps(row, ensure_ascii=False) + "\n"
        (folder / stage / "m.jsonl").write_text(line, encoding="utf-8")
    for form in FORMS:
        path = tmp_path / f"old.{form}"
        assert write_sheet(SheetRequest(folder, form), path).groups == 1
        assert path.stat().st_size > 1000
    text = _pdf_text(tmp_path / "old.pdf")
    assert "螺丝×1" in text
    assert "找不到照片文件" in text or "记录里没有这张照片的路径" in text
    assert "没有人工判不合格的组" in re.sub(r"\s", "", text)


def test_command_line(run_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "out" / "sheet.docx"
    options = ("--format", "docx", "--where", "区域=东", "--max-groups", "2", "--lang", "en")
    command = [*SHENHE, "report", str(run_dir), *options, "--output", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(path)
    assert "2 of 3 groups are shown" in done.stderr
    assert "Acceptance sheet" in _docx_text(path)
    with pytest.raises(OptionError, match="--where 区域: write FIELD=VALUE"):
        choice_of(ReportOptions(run_dir=run_dir, fields=("区域",)))


def test_groups_whose_stage_a_failed_show_the_photos_of_their_folder(tmp_path: Path) -> None:
    folder = tmp_path / "photos" / MISSION / "QC-7"
    folder.mkdir(parents=True)
    photo, broken = folder / "img-1.png", folder / "img-2.jpg"
    Image.new("RGB", (64, 48), (90, 120, 150)).save(photo)
    broken.write_bytes(b"\xff\xd8\xff")
    reason = "阶段A未完成: img-2.jpg（照片不完整，后半部分缺失）"
    group = Group("QC-7", None, p_pass=None, reason=reason, why=("stage_a_incomplete",))
    run = write_run(tmp_path / "run", [Group("QC-1"), group], [photo])
    write_captions(run, [photo])
    rows = run / "stage_a" / f"{MISSION}.jsonl"
    rows.write_text(rows.read_text("utf-8").splitlines(keepends=True)[0], encoding="utf-8")
    failures = [
        Failure(
            item=item,
            group_id="QC-7",
            mission=MISSION,
            label=None,
            code=code,
            message="m",
            timestamp=TIME,
        )
        for item, code in ((str(broken), "truncated"), ("QC-7", "left_out"))
    ]
    text = "".join(failure.to_json() + "\n" for failure in failures)
    rows.with_suffix(".failures.jsonl").write_text(text, encoding="utf-8")
    told = "阶段A没有完成这一组，下面是它文件夹里的照片"
    page = write_report(run, language="zh").read_text("utf-8")
    shown = page[page.index("QC-7") :]
    assert told in shown
    assert shown.index("img-1.png") < shown.index("照片不完整，后半部分缺失", shown.index(told))
    assert "电线/捆扎整齐" in shown  # its caption
    write_sheet(SheetRequest(run, "docx", "zh"), tmp_path / "sheet.docx")
    with zipfile.ZipFile(tmp_path / "sheet.docx") as file:
        assert any(name.startswith("word/media/") for name in file.namelist())
        text = re.sub("<[^>]*>", "", file.read("word/document.xml").decode())
    assert text.index(told) < text.index("img-1.png") < text.rindex("img-2.jpg")
    write_sheet(SheetRequest(run, "pdf", "zh"), tmp_path / "sheet.pdf")
    assert "img-1.png" in _pdf_text(tmp_path / "sheet.pdf")
    write_sheet(SheetRequest(run, "xlsx", "zh"), tmp_path / "sheet.xlsx")
    listed = openpyxl.load_workbook(tmp_path / "sheet.xlsx")["组"]
    head = [cell.value for cell in listed[1]]
    assert [row[head.index("照片数")].value for row in listed.iter_rows(2)] == [1, 2]
    (entry,) = (each for each in Index(run).page(Filters()) if each.group_id == "QC-7")
    rows_of_group = Index(run).group(entry.number)
    assert rows_of_group is not None
    assert rows_of_group.images == [str(photo), str(broken)]
    # A folder that is gone leaves what was said before.
    shutil.rmtree(folder)
    assert "所以没有照片可看" in write_report(run, language="zh").read_text("utf-8")
