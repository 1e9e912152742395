"""Captions against truth, on cases whose figures are known."""

from __future__ import annotations

from pathlib import Path

import pytest

from shenhe.errors import IntakeError
from shenhe.evaluation import score_captions, tables, write_page
from shenhe.evaluation.matching import Match, chamfer, frechet, match
from shenhe.geometry import Box, Line, Polygon, Size
from shenhe.values import Annotation, CaptionObject
from tests.annotated import THINGS, paint

SIZE = Size(400, 300)


def _said(*objects: CaptionObject, name: str = "/a.jpg") -> Annotation:
    return Annotation(Path(name), SIZE, objects)


def test_all_right_is_one_everywhere() -> None:
    scores, (photo,) = score_captions([_said(*THINGS)], [_said(*THINGS)])
    assert scores.joint.f1 == scores.exact.precision == scores.attributes.f1 == photo.joint == 1
    assert {kind: found.f1 for kind, found in scores.geometry.items()} == {
        "bbox_2d": 1,
        "quad": 1,
        "line": 1,
    }
    assert scores.average_precision["quad"] == pytest.approx({"mAP@0.5": 1, "mAP@0.5:0.95": 1})
    assert scores.line_distances == pytest.approx({"chamfer": 0, "frechet": 0})


def test_a_desc_counts_by_level_and_by_attribute() -> None:
    box = Box(0, 0, 100, 100)
    true = CaptionObject(box, "BBU设备/华为/显示完整/安装牢固")
    said = CaptionObject(box, "BBU设备/华为,只显示部分/安装牢固")
    scores, _ = score_captions([_said(said)], [_said(true)])
    assert scores.exact.precision == 0
    assert [level.precision for level in scores.levels if level.predicted] == [1, 1, 0, 0]
    assert scores.attributes.f1 == 0.75
    assert scores.joint.f1 == 0
    assert scores.geometry["bbox_2d"].f1 == 1


def test_separators_are_no_difference() -> None:
    box = Box(0, 0, 100, 100)
    said, true = (CaptionObject(box, desc) for desc in ("BBU设备/华为,完整", "BBU设备/华为/完整"))
    scores, _ = score_captions([_said(said)], [_said(true)])
    assert scores.exact.precision == scores.joint.f1 == 1


def test_photos_without_a_caption_count_as_missed_and_the_worst_come_first() -> None:
    thing = THINGS[0]
    truth = [_said(thing, name="/a.jpg"), _said(thing, name="/b.jpg"), _said(name="/c.jpg")]
    said = [_said(thing, name="/a.jpg"), _said(name="/c.jpg"), _said(name="/z.jpg")]
    scores, photos = score_captions(said, truth)
    assert (scores.photos, scores.unanswered, scores.not_in_truth) == (3, 1, 1)
    assert (scores.joint.actual, scores.joint.correct) == (2, 1)
    assert [photo.truth.image.name for photo in photos] == ["b.jpg", "a.jpg", "c.jpg"]
    assert [photo.joint for photo in photos] == [0, 1, 1]


def test_a_photo_that_stands_twice_counts_once() -> None:
    one, other = THINGS[:2]
    truth = [_said(one, other, name="/a.jpg"), _said(one, name="/b.jpg")]
    said = [_said(one, name="/a.jpg"), _said(one, name="/b.jpg")]
    scores, _ = score_captions(said, truth)
    again, photos = score_captions([*said, *said], [*truth, _said(other, one, name="/a.jpg")])
    assert (again.photos, len(photos), again.repeated.alike) == (2, 2, 3)
    assert again.to_json() == scores.to_json() | {"repeated": 3}
    assert not again.repeated.faults


@pytest.mark.parametrize("later", [(), (THINGS[1],), THINGS[:1] * 2])
def test_of_unlike_objects_of_one_photo_none_count(later: tuple[CaptionObject, ...]) -> None:
    one = THINGS[0]
    truth = [_said(one, name="/a.jpg"), _said(one, name="/b.jpg")]
    # The last caption would have counted, whatever the others say.
    said = [*truth, _said(*later, name="/a.jpg")]
    for order in (said, said[::-1]):
        scores, _ = score_captions(order, truth)
        assert (scores.photos, scores.unanswered, scores.joint.correct) == (2, 1, 1)
        (fault,) = scores.repeated.faults
        assert fault.startswith("/a.jpg: stands more than once in --predictions")
    scores, (photo,) = score_captions(truth, said)
    assert (scores.photos, photo.truth.image.name) == (1, "b.jpg")
    assert scores.to_json()["contradicted"] == 1
    with pytest.raises(IntakeError, match=r"^/a\.jpg: stands more than once in --truth"):
        score_captions(truth, [_said(one), _said(*later)])
    with pytest.raises(IntakeError, match=r"^/a\.jpg: stands more than once in --predictions"):
        score_captions([_said(one), _said(*later)], [_said(one)])


def test_nothing_to_compare_is_refused() -> None:
    with pytest.raises(IntakeError, match="holds no photo"):
        score_captions([], [])
    with pytest.raises(IntakeError, match="none of the 1 photos"):
        score_captions([_said(name="/other.jpg")], [_said(name="/a.jpg")])


def test_matching_is_one_to_one_by_closeness_and_kind() -> None:
    true = [CaptionObject(Box(0, 0, 100, 100), "a"), CaptionObject(Box(0, 0, 100, 60), "b")]
    said = [
        CaptionObject(Box(0, 0, 100, 70), "x"),
        CaptionObject(Box(0, 0, 100, 100), "y"),
        CaptionObject(Polygon(((0, 0), (100, 0), (100, 100), (0, 100))), "z"),
    ]
    assert match(said, true) == [Match(0, 1), Match(1, 0)]


def test_distances_of_lines() -> None:
    line = Line(((0, 0), (100, 0)))
    assert frechet(line, Line(((100, 0), (0, 0)))) == 0
    assert chamfer(line, Line(((0, 30), (100, 30)))) == pytest.approx(30)
    assert frechet(line, Line(((0, 30), (100, 30)))) == pytest.approx(30)
    bent = Line(((0, 0), (50, 80), (100, 0)))
    assert frechet(line, bent) == pytest.approx(80)
    assert 0 < chamfer(line, bent) < 80
    assert match([CaptionObject(line, "a")], [CaptionObject(bent, "a")]) == []


def test_the_page_escapes_what_models_and_files_say(tmp_path: Path) -> None:
    annotation = paint(tmp_path / "<img src=x onerror=alert(1)>.jpg")
    evil = CaptionObject(Box(0, 0, 10, 10), "<script>alert(1)</script>")
    scores, photos = score_captions([Annotation(annotation.image, SIZE, (evil,))], [annotation])
    scores.format_errors = {"<b>": 3}
    page = tmp_path / "out" / "page.html"
    write_page(page, scores, photos, predictions=Path("<i>.jsonl"), truth=Path("t.jsonl"))
    text = page.read_text(encoding="utf-8")
    for raw in ("<script>alert", "<img src=x", "<b>", "<i>"):
        assert raw not in text
    assert "&lt;script&gt;alert" in text
    assert text.count("data:image/jpeg;base64,") == 2
    assert [table.title for table in tables(scores)][-1] == "Format errors"


def test_a_quad_may_be_the_polygon_that_people_drew() -> None:
    six = Polygon(((0, 0), (50, 0), (100, 0), (100, 100), (50, 110), (0, 100)))
    quad = Polygon(((0, 0), (100, 0), (100, 100), (0, 100)))
    elsewhere = Polygon(((500, 500), (600, 500), (500, 600)))
    truth = _said(CaptionObject(six, "标签/4G"), CaptionObject(elsewhere, "标签/5G"))
    said = _said(CaptionObject(quad, "标签/4G"), CaptionObject(elsewhere, "标签/5G"))
    scores, _ = score_captions([said], [truth])
    assert {kind: found.f1 for kind, found in scores.geometry.items()} == {"poly": 1}
    assert scores.average_precision["poly"]["mAP@0.5"] == pytest.approx(1)
    assert scores.average_precision["quad"]["mAP@0.5"] is None
    scores, _ = score_captions([_said(CaptionObject(quad, "标签/4G"))], [truth])
    assert scores.geometry["poly"].recall == 0.5
    scores, _ = score_captions([_said(CaptionObject(quad, "标签/4G"))], [_said(truth.objects[1])])
    assert (scores.geometry["quad"].precision, scores.geometry["poly"].recall) == (0, 0)
