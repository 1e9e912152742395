"""What a photo itself is known to have, in rows, counts, the report and the review app's pages."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest

from shenhe.config import load_missions, load_prompts
from shenhe.doctor.rows import check_truncation
from shenhe.doctor.subject import Subject
from shenhe.engines.base import EngineSpec
from shenhe.engines.options import LocalOptions
from shenhe.errors import PhotoError
from shenhe.intake import PhotoLists, PhotoTree
from shenhe.messages import Answer, ImagePart, Request, RequestFailed
from shenhe.photos import PixelBudget, load
from shenhe.report import write_report
from shenhe.review.index import Filters, Index
from shenhe.review.views import Draft, lay_out_photos
from shenhe.rows.readers import read_captions
from shenhe.runs import RunOptions, find_stage_a, run_captions, run_summaries, run_verdicts
from tests.photos.test_completeness import picture, saved
from tests.scripted import ScriptedEngine

MISSIONS, PROMPTS = load_missions(), load_prompts()
MISSION = next(iter(MISSIONS))
THING = '{"图片_1": {"object_1": {"bbox_2d": [1, 2, 300, 400], "desc": "BBU设备"}}}'


class OpeningEngine(ScriptedEngine):
    """Opens the photos that it is asked about, as engines do, and says what is written."""

    def _one(self, request: Request) -> Answer | RequestFailed:
        parts = [p for m in request.messages for p in m.parts if isinstance(p, ImagePart)]
        try:
            sizes = tuple(load(part.path, PixelBudget(4096, 320 * 256)).sizes for part in parts)
        except PhotoError as error:
            return RequestFailed(request.key, error.code, str(error), request.attempt)
        text = str(self.script(request))
        return Answer(request.key, text, "length" if text == "" else "stop", 1, 1, sizes)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A group of a whole photo and one with a lost sector; one with a photo that is cut short."""
    data = saved("jpeg", picture(800, 600))
    lost = bytearray(data)
    lost[len(data) // 2 : len(data) // 2 + 512] = bytes(512)
    photos = {"QC-1": {"1.jpg": data, "2.jpg": bytes(lost)}, "QC-2": {"1.jpg": data[:9000]}}
    for group, names in photos.items():
        folder = tmp_path / "tree" / MISSION.name / "审核通过" / group
        folder.mkdir(parents=True)
        for name, content in names.items():
            (folder / name).write_bytes(content)
    return tmp_path / "tree"


def _verdict(request: Request) -> str:
    return "通过\n理由: 图片_1、图片_2" if request.choices else "挡风板/可以识别×1"


def _doctor(run_dir: Path) -> list[tuple[str, str]]:
    spec = EngineSpec(model="demo", engine=LocalOptions())
    subject = Subject(spec, PROMPTS, MISSIONS, (), 8, run_dir=run_dir)
    return [(finding.level, finding.message) for finding in check_truncation(subject)]


def test_damage_inside_is_told_in_rows_report_review_and_doctor(tree: Path, tmp_path: Path) -> None:
    engine, out = OpeningEngine(_verdict), tmp_path / "out"
    counts = run_summaries(
        engine,
        PhotoTree(tree),
        MISSION,
        PROMPTS.summary,
        out / "stage_a",
        engine_options={},
        run=RunOptions(),
    )
    assert counts.damaged_inside == 1
    (path,) = (path for path in (out / "stage_a").glob("*.jsonl") if "failures" not in path.name)
    (row,) = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    answers = row["meta"]["answers"]
    facts = answers["图片_1"]["facts"]
    assert facts["damaged_inside"] is None
    assert facts["content_hash"] == sha256(Path(row["images"][0]).read_bytes()).hexdigest()
    assert len(facts["perceptual_hash"]) == 16
    assert facts["brightness"] > 0
    assert "Corrupt JPEG data" in answers["图片_2"]["facts"]["damaged_inside"]
    manifest = json.loads(path.with_suffix(".manifest.json").read_text(encoding="utf-8"))
    assert manifest["damaged_inside"] == 1
    for source in find_stage_a(out / "stage_a", MISSIONS):
        run_verdicts(
            engine, source, PROMPTS.verdict, out / "stage_b", engine_options={}, run=RunOptions()
        )
    page = write_report(out).read_text(encoding="utf-8")
    assert page.count("内部损坏") == 2  # at the photo, and counted above
    index = Index(out)
    groups = [index.group(entry.number) for entry in index.page(Filters())]
    views = [view for group in groups if group for view in lay_out_photos(group, Draft.of(None))]
    assert [bool(view.damaged_inside) for view in views if view.line] == [False, True]
    findings = _doctor(out)
    assert [message for level, message in findings if level == "error" and "QC-2/1.jpg" in message]
    assert [
        message for level, message in findings if level == "warning" and "QC-1/2.jpg" in message
    ]
    assert [message for _, message in findings if "0 of 2 answers were cut" in message]


def test_captions_tell_of_damage_and_of_what_was_passed_over(tree: Path, tmp_path: Path) -> None:
    (tree / "notes.txt").write_text("no photo")
    path = tmp_path / "c.jsonl"
    lists = PhotoLists([tree])
    counts = run_captions(
        OpeningEngine(lambda _: THING),
        lists,
        PROMPTS.caption,
        path,
        engine_options={},
        run=RunOptions(),
        passed_over=lists.passed_over,
    )
    assert counts.damaged_inside == 1
    facts = {Path(row.images[0]).name: row.meta.facts[0] for row in read_captions(path)}
    assert facts["1.jpg"].damaged_inside is None
    assert facts["2.jpg"].damaged_inside
    manifest = json.loads(path.with_suffix(".manifest.json").read_text(encoding="utf-8"))
    assert manifest["passed_over"] == {"not_a_photo": 1}
    assert manifest["damaged_inside"] == 1
    findings = _doctor(tmp_path)
    assert [message for level, message in findings if level == "error" and "truncated: " in message]
    assert [
        message
        for level, message in findings
        if level == "warning" and "damaged_inside: " in message
    ]


def test_an_answer_cut_at_the_limit_is_no_damaged_photo(tree: Path, tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    run_captions(
        OpeningEngine(lambda _: ""),
        PhotoLists([tree / MISSION.name / "审核通过" / "QC-1"]),
        PROMPTS.caption,
        path,
        engine_options={},
        run=RunOptions(max_attempts=1),
    )
    failures = path.with_suffix(".failures.jsonl").read_text(encoding="utf-8").splitlines()
    assert failures
    assert not [message for _, message in _doctor(tmp_path) if "truncated: " in message]
