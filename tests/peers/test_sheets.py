"""Acceptance sheets in LibreOffice: recalculated, opened and printed.

apt-get install --no-install-recommends libreoffice-calc-nogui libreoffice-writer-nogui
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import openpyxl
import pytest
from PIL import Image

from shenhe.evaluation import read_outcomes, score_verdicts
from shenhe.languages import LANGUAGES, Language
from shenhe.report.sheet.words import sheet_words
from shenhe.report.sheet.write import SheetRequest, write_sheet
from tests.review.runs import FAIL, PASS, Group, write_run

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("office")
    photo = folder / "1.png"
    Image.new("RGB", (640, 480), (90, 120, 150)).save(photo)
    groups = [Group(f"QC-1-{n}", PASS if n % 3 else FAIL, "pass") for n in range(30)]
    groups += [Group(f"QC-2-{n}", PASS if n < 2 else FAIL, "fail") for n in range(20)]
    groups += [Group(f"QC-3-{n}", PASS, "fail", mission="=通配*任务?") for n in range(3)]
    # Unless signs that mean something in a criterion are escaped, it counts as one of the others.
    groups += [Group(f"QC-4-{n}", FAIL, "fail", mission="=通配别的任务！") for n in range(4)]
    return write_run(folder / "run", groups, [photo])


def _convert(path: Path, form: str) -> Path:
    """Open a file in LibreOffice and write it in another form."""
    office = shutil.which("soffice")
    if office is None:
        pytest.skip(__doc__ or "")
    folder = path.parent / "converted"
    profile = f"-env:UserInstallation={(path.parent / 'profile').as_uri()}"
    command = [office, profile, "--headless", "--convert-to", form, "--outdir", str(folder)]
    subprocess.run([*command, str(path)], check=True, capture_output=True, timeout=180)
    return folder / f"{path.stem}.{form}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_recalculated_share_is_that_of_evaluate(
    run_dir: Path, tmp_path: Path, language: Language
) -> None:
    path, words = tmp_path / "sheet.xlsx", sheet_words(language)
    write_sheet(SheetRequest(run_dir, "xlsx", language), path)
    stored = openpyxl.load_workbook(path, data_only=True)[words["sheet_totals"]]
    assert stored["D2"].value is None  # nothing is taken from us
    book = openpyxl.load_workbook(_convert(path, "xlsx"), data_only=True)
    rows = book[words["sheet_totals"]].iter_rows(2, values_only=True)
    figures = {(mission, figure): (value, formula) for mission, figure, value, formula in rows}
    scores = score_verdicts(read_outcomes(run_dir))
    assert scores[""].false_pass.value == 5 / 27
    for mission, score in scores.items():
        name = mission or words["all_missions"]
        name = f"'{name}" if name.startswith("=") else name
        share = figures[name, words["figure_label_false_pass"]][1]
        assert share == pytest.approx(score.false_pass.value, rel=1e-14)  # of 15 digits
    for key, (value, formula) in figures.items():
        computed = None if formula == "" else formula
        assert computed == (None if value is None else pytest.approx(value, abs=1e-12)), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_document_is_printed_whole(run_dir: Path, tmp_path: Path, language: Language) -> None:
    path, words = tmp_path / "sheet.docx", sheet_words(language)
    write_sheet(SheetRequest(run_dir, "docx", language), path)
    printed = _convert(path, "pdf")
    text = subprocess.run(["pdftotext", printed, "-"], capture_output=True, text=True, check=True)
    joined = re.sub(r"\s", "", text.stdout)
    for name in ("title", "totals", "list_title", "sign_title", "sign_inspector"):
        assert re.sub(r"\s", "", words[name]) in joined
    assert joined.count("QC-2-19") == 2  # in the list, and by itself
    facts = subprocess.run(["pdfinfo", printed], capture_output=True, text=True, check=True).stdout
    pages = re.search(r"Pages:\s+(\d+)", facts)
    assert pages
    last = words["page"].format(page=pages[1], pages=pages[1])
    assert re.sub(r"\s", "", last) in joined
    images = subprocess.run(["pdfimages", "-list", printed], capture_output=True, check=True)
    assert len(images.stdout.splitlines()) - 2 >= 57
