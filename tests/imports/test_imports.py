"""Labels of other tools: as the tools write them, round and back, of turned photos, and hostile."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from shenhe.errors import FormatError, IntakeError, OptionError
from shenhe.exports import write_export
from shenhe.exports.labels import LABELS
from shenhe.geometry import (
    Box,
    Line,
    Polygon,
    Shape,
    Size,
    area,
    clockwise_from_top_left,
    crosses_itself,
    round_coordinates,
    to_pixels,
)
from shenhe.imports import Reading, read_labels, recognise
from shenhe.imports.cvat import BOXES_OF_OUTLINES
from shenhe.imports.labelled import THINNED
from shenhe.imports.photo_files import PhotoFinder
from shenhe.intake import read_annotations
from shenhe.values import Annotation, CaptionObject
from tests.annotated import SIZE, THINGS, paint

SAMPLES = Path(__file__).parent / "samples"
"""Written by LabelMe 6.3.1, X-AnyLabeling 4.2.1 and Datumaro 1.13.12 by their own functions, and in
the form of Label Studio's JSON export."""
TOOLS = ("labelme", "x-anylabeling", "label-studio", "coco")


def _rounded(objects: Sequence[CaptionObject]) -> list[CaptionObject]:
    return [CaptionObject(round_coordinates(item.shape), item.desc) for item in objects]


@pytest.mark.parametrize(
    ("sample", "tool", "lost"),
    [
        ("labelme.json", "labelme", ["shapes of type 'circle': left out"]),
        ("x_anylabeling.json", "labelme", []),
        (
            "label_studio.json",
            "label-studio",
            ["older annotations of a photo: the newest counts", "relations: left out"],
        ),
        ("coco.json", "coco", []),
        ("cvat.xml", "cvat", []),
    ],
)
def test_what_tools_write(sample: str, tool: str, lost: list[str], tmp_path: Path) -> None:
    file = tmp_path / sample
    file.write_bytes((SAMPLES / sample).read_bytes())
    paint(tmp_path / "a b.jpg", rotated=True)
    assert recognise(file) == tool
    reading = Reading()
    (annotation,) = read_annotations(file, reading)
    assert not reading.faults
    assert [name for name, count in reading.lost.items() if count] == lost
    assert annotation.image == tmp_path / "a b.jpg"
    assert annotation.size_wh == SIZE
    # COCO holds no lines, and Datumaro leaves them out.
    things = THINGS[:2] if tool == "coco" else THINGS
    assert _rounded(annotation.objects) == list(things)


numbers = st.integers(0, 1000)
points = st.tuples(numbers, numbers)


def _is_polygon(corners: list[tuple[int, int]]) -> bool:
    return not crosses_itself(Polygon(tuple(corners)))


shapes: st.SearchStrategy[Shape] = st.one_of(
    st.tuples(points, points)
    .filter(lambda pair: pair[0][0] < pair[1][0] and pair[0][1] < pair[1][1])
    .map(lambda pair: Box(*pair[0], *pair[1])),
    st.lists(points, min_size=3, max_size=5, unique=True)
    .filter(_is_polygon)
    .map(lambda corners: clockwise_from_top_left(Polygon(tuple(corners)))),
    st.lists(points, min_size=2, max_size=6).map(lambda line: Line(tuple(line))),
)
words = st.text(
    st.characters(exclude_categories=["C", "Z"], exclude_characters="/,，、"), min_size=1
)
descs = st.lists(words, min_size=1, max_size=3).map("/".join)
objects = st.lists(st.builds(CaptionObject, shapes, descs), max_size=4).map(tuple)
sizes = st.builds(Size, st.integers(32, 5000), st.integers(32, 5000))


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("labels", ["category", "desc"])
def test_out_and_back(tool: str, labels: str, tmp_path: Path) -> None:
    number = iter(range(10**6))

    @settings(max_examples=40)
    @given(objects=objects, size=sizes)
    def check(objects: tuple[CaptionObject, ...], size: Size) -> None:
        folder = tmp_path / str(next(number))
        annotation = Annotation(tmp_path / "gone.jpg", size, objects)
        write_export(tool, [annotation], folder, LABELS[labels])
        reading = Reading()
        (back,) = read_annotations(folder, reading, tool=tool)
        assert not reading.faults
        assert back.size_wh == size
        assert _rounded(back.objects) == list(objects)

    check()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_labels_of_a_photo_as_it_is_stored(orientation: int, tmp_path: Path) -> None:
    """A tool that knows no EXIF labels the stored pixels; the upright photo has the thing too."""
    stored = Image.new("RGB", (60, 40))
    stored.paste((255, 0, 0), (12, 8, 24, 12))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    shape = {"label": "标签", "points": [[12, 8], [24, 12]], "shape_type": "rectangle"}
    content = {"imagePath": "a.png", "imageWidth": 60, "imageHeight": 40, "shapes": [shape]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    (annotation,) = read_annotations(tmp_path / "a.json")
    if orientation in (2, 3, 4):
        return  # sizes cannot tell: such photos are taken as shown upright
    rendered = Image.open(tmp_path / "a.png")
    upright = _transposed(rendered)
    assert annotation.size_wh == upright.size
    (item,) = annotation.objects
    assert isinstance(item.shape, Box)
    width, height = upright.size
    box = (item.shape.x1 * width, item.shape.y1 * height)
    other = (item.shape.x2 * width, item.shape.y2 * height)
    left, top, right, bottom = (round(number / 1000) for number in (*box, *other))
    red = upright.crop((left, top, right, bottom))
    assert red.getcolors() == [(48, (255, 0, 0))]


def _transposed(image: Image.Image) -> Image.Image:
    from PIL import ImageOps

    return ImageOps.exif_transpose(image).convert("RGB")


def test_a_photo_at_another_size_and_another_photo(tmp_path: Path) -> None:
    paint(tmp_path / "a.jpg")
    shape = {"label": "标签", "points": [[0, 0], [500, 300]], "shape_type": "rectangle"}
    content: dict[str, Any] = {"imagePath": "a.jpg", "shapes": [shape]}
    file = tmp_path / "a.json"
    file.write_text(json.dumps(content | {"imageWidth": 1000, "imageHeight": 750}))
    (annotation,) = read_annotations(file)
    assert annotation.size_wh == SIZE
    assert _rounded(annotation.objects)[0].shape == Box(0, 0, 500, 400)
    file.write_text(json.dumps(content | {"imageWidth": 1000, "imageHeight": 600}))
    with pytest.raises(IntakeError, match="the labels are of a photo of 1000 x 600"):
        list(read_annotations(file))


GOOD: dict[str, Any] = {
    "imagePath": "a.jpg",
    "imageWidth": 400,
    "imageHeight": 300,
    "shapes": [{"label": "标签", "points": [[1, 2], [30, 40]], "shape_type": "rectangle"}],
}


def _shape(**changes: Any) -> dict[str, Any]:
    return GOOD | {"shapes": [GOOD["shapes"][0] | changes]}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (_shape(points=[[1, float("nan")], [30, 40]]), "no number of pixels"),
        (_shape(points=[[1, 10**400], [30, 40]]), "no number of pixels"),
        (_shape(points=[[1, True], [30, 40]]), "no number of pixels"),
        (_shape(points=[[1, 2, 3], [30, 40]]), "has 3 numbers"),
        (_shape(points="1,2"), "no list"),
        (_shape(points=[[5, 5], [5, 5]]), "inverted or empty"),
        (_shape(points=[[5, 5], [900, 50]]), "lies beyond its photo"),
        (_shape(points=[[5, 5], [50, 50], [9, 9]]), "a rectangle of 3 points"),
        (_shape(points=[[0, 0], [9, 9], [9, 0], [0, 9]], shape_type="polygon"), "crosses itself"),
        (_shape(points=[[0, 0], [9, 9]], shape_type="polygon"), "poly needs"),
        (_shape(points=[[n % 400, 1] for n in range(1001)], shape_type="line"), "1001 points"),
        (_shape(label=""), "has no label"),
        (_shape(label=["标签"]), "no text"),
        (GOOD | {"imageWidth": -4}, "a photo of -4 x 300"),
        (GOOD | {"imagePath": "../../../etc/passwd"}, "lies elsewhere"),
        (GOOD | {"imagePath": "..\\..\\b.jpg"}, "lies elsewhere"),
        (GOOD | {"imagePath": "a\0.jpg"}, "names no photo"),
        (GOOD | {"imagePath": "x" * 5000}, "names no photo"),
        (GOOD | {"shapes": {}}, "no list"),
        ("[" * 100_000, "nested too deeply"),
        ("{", "no JSON"),
        (json.dumps(GOOD)[:-1] + ', "shapes": []}', "shapes stands twice"),
        ("\udcff", "no JSON"),
    ],
)
def test_a_bad_file_is_one_fault(content: Any, problem: str, tmp_path: Path) -> None:
    paint(tmp_path / "a.jpg")
    text = content if isinstance(content, str) else json.dumps(content)
    (tmp_path / "a.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    (tmp_path / "b.json").write_text(json.dumps(GOOD))
    reading = Reading()
    (annotation,) = read_annotations(tmp_path, reading, tool="labelme")
    assert annotation.image == tmp_path / "a.jpg"
    (fault,) = reading.faults
    assert fault.startswith(f"{tmp_path / 'a.json'}: ")
    assert problem in fault


BOMB = """<?xml version="1.0"?><!DOCTYPE annotations [<!ENTITY a "aaaaaaaaaa">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><annotations>&b;</annotations>"""
OUTSIDE = """<?xml version="1.0"?><!DOCTYPE annotations [<!ENTITY a SYSTEM "file:///etc/passwd">]>
<annotations><image name="&a;" width="9" height="9"/></annotations>"""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (BOMB, "entities"),
        (OUTSIDE, "entities"),
        ("<html/>", "its root is"),
        ("<annotations>" + "<a>" * 50, "nested too deeply"),
        ("<annotations><track/></annotations>", "tracks of a video"),
        ("<annotations><image", "no XML"),
        ("", "no XML"),
    ],
)
def test_xml_is_read_without_entities(text: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(IntakeError, match=problem):
        list(read_annotations(tmp_path / "a.xml", Reading()))


def test_cvat_boxes_that_are_turned_or_broken(tmp_path: Path) -> None:
    paint(tmp_path / "a.jpg")
    box = '<box label="标签" xtl="100" ytl="100" xbr="{}" ybr="140" rotation="90"/>'
    image = '<image name="a.jpg" width="400" height="300">{}</image>'
    images = [image.format(box.format(right)) for right in ("180", "nan", "90", "x")]
    images.append(image.format('<polygon label="标签" points="1,2;3"/>'))
    images.append(image.format('<ellipse label="标签" cx="1" cy="1" rx="1" ry="1"/>'))
    text = f"<annotations>{''.join(images)}</annotations>"
    (tmp_path / "a.xml").write_text(text, encoding="utf-8")
    reading = Reading()
    (first,) = read_annotations(tmp_path / "a.xml", reading)
    assert round_coordinates(first.objects[0].shape) == round_coordinates(
        Polygon(((300, 800 / 3), (400, 800 / 3), (400, 1600 / 3), (300, 1600 / 3)))
    )
    assert reading.lost["ellipse: left out"] == 1
    assert [fault.split(": ")[1] for fault in reading.faults] == [
        f"image {n}" for n in (2, 3, 4, 5, 6)
    ]


def test_the_box_that_datumaro_adds_to_an_outline_is_no_object(tmp_path: Path) -> None:
    paint(tmp_path / "a.jpg")
    outline = '<polygon label="标签" group_id="{}" points="40,30;160,30;100,120"/>'
    box = '<box label="{}" group_id="{}" xtl="40" ytl="30" xbr="160" ybr="{}"/>'
    rows = {
        outline.format(5) + box.format("标签", 5, 120): 1,
        box.format("标签", 5, 120.01) + outline.format(5): 1,
        outline.format(5) + box.format("标签", 6, 120): 2,  # of another object
        outline.format(0) + box.format("标签", 0, 120): 2,  # in no group
        outline.format(5) + box.format("光纤", 5, 120): 2,  # grouped by a person
        outline.format(5) + box.format("标签", 5, 200): 2,
    }
    images = (f'<image name="a.jpg" width="400" height="300">{shapes}</image>' for shapes in rows)
    (tmp_path / "a.xml").write_text(f"<annotations>{''.join(images)}</annotations>", "utf-8")
    reading = Reading()
    annotations = list(read_annotations(tmp_path / "a.xml", reading))
    assert [len(annotation.objects) for annotation in annotations] == list(rows.values())
    assert all(isinstance(annotations[n].objects[0].shape, Polygon) for n in (0, 1))
    assert reading.lost[BOXES_OF_OUTLINES] == 2


def test_outlines_of_many_corners_lose_some_and_keep_their_place(tmp_path: Path) -> None:
    paint(tmp_path / "a.jpg")
    steps = [2 * math.pi * n / 500 for n in range(500)]
    circle = [(200 + 100 * math.cos(a), 150 + 80 * math.sin(a)) for a in steps]
    shape = {"label": "标签", "shape_type": "polygon", "points": circle}
    content = {"imagePath": "a.jpg", "imageWidth": 400, "imageHeight": 300, "shapes": [shape]}
    (tmp_path / "a.json").write_text(json.dumps(content), encoding="utf-8")
    reading = Reading()
    (annotation,) = read_annotations(tmp_path / "a.json", reading)
    found = annotation.objects[0].shape
    assert isinstance(found, Polygon)
    assert 20 < len(found.points) <= 64
    assert area(to_pixels(found, SIZE)) == pytest.approx(math.pi * 100 * 80, rel=0.01)
    assert reading.lost[THINNED] == 1
    content["shapes"] = [shape | {"points": circle[::2] + circle[1::2]}]
    (tmp_path / "a.json").write_text(json.dumps(content), encoding="utf-8")
    reading = Reading()
    with pytest.raises(IntakeError, match="3 to 64 corners"):
        list(read_annotations(tmp_path / "a.json", reading))


def test_a_photo_of_which_no_shape_can_be_held_is_no_photo_with_nothing(tmp_path: Path) -> None:
    paint(tmp_path / "a.jpg")
    circle = {"label": "标签", "shape_type": "circle", "points": [[50, 50], [60, 60]]}
    content = {"imagePath": "a.jpg", "imageWidth": 400, "imageHeight": 300, "shapes": [circle]}
    (tmp_path / "a.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(IntakeError, match="none of its shapes can be held"):
        list(read_annotations(tmp_path / "a.json", Reading()))
    (tmp_path / "a.json").write_text(json.dumps(content | {"shapes": []}), encoding="utf-8")
    (annotation,) = read_annotations(tmp_path / "a.json", Reading())
    assert not annotation.objects


def test_label_studio_turns_boxes_round_their_first_corner(tmp_path: Path) -> None:
    paint(tmp_path / "a.jpg")
    value = {
        "x": 50,
        "y": 20,
        "width": 10,
        "height": 20,
        "rotation": 90,
        "rectanglelabels": ["标签"],
    }
    result = {"id": "r", "type": "rectanglelabels", "value": value}
    sized = result | {"original_width": 400, "original_height": 300}
    task = {"data": {"image": "a.jpg"}, "annotations": [{"result": [sized]}]}
    unsized = {"data": {"image": "a.jpg"}, "annotations": [{"result": [result]}]}
    turned = {
        "data": {"image": "a.jpg"},
        "annotations": [{"result": [sized | {"image_rotation": 90}]}],
    }
    nothing = {"data": {"image": "a.jpg"}, "annotations": [], "predictions": []}
    (tmp_path / "t.json").write_text(json.dumps([task, unsized, turned, nothing]))
    reading = Reading()
    (annotation,) = read_annotations(tmp_path / "t.json", reading)
    (shape,) = (round_coordinates(item.shape) for item in annotation.objects)
    assert shape == Polygon(((350, 200), (500, 200), (500, 333), (350, 333)))
    unsized_fault, turned_fault = reading.faults
    assert "size of the photo is not told" in unsized_fault
    assert "was turned in the tool" in turned_fault
    assert reading.lost["photos that nobody has annotated: left out"] == 1


def test_coco_without_listed_categories_masks_and_stray_annotations(tmp_path: Path) -> None:
    paint(tmp_path / "images" / "甲" / "a.jpg")
    paint(tmp_path / "images" / "乙" / "a.jpg")
    images = [{"id": n, "file_name": f"{name}/a.jpg"} for n, name in enumerate("甲乙丙", 1)]
    box = {"image_id": 1, "category_id": 1, "bbox": [10, 10, 20, 20]}
    annotations = [
        box | {"segmentation": {"counts": "x", "size": [300, 400]}, "iscrowd": 1},
        box | {"segmentation": [[1, 1, 9, 1, 9, 9], [20, 20, 30, 20, 30, 30]]},
        box | {"image_id": 2, "category_id": 2},
        box | {"image_id": 9},
    ]
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "标签"}],
    }
    (tmp_path / "annotations").mkdir()
    file = tmp_path / "annotations" / "instances_default.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    for source in (tmp_path, file):
        reading = Reading()
        (annotation,) = read_annotations(source, reading)
        assert annotation.image == tmp_path / "images" / "甲" / "a.jpg"
        assert len(annotation.objects) == 2
        assert "a category that is not listed" in reading.faults[0]
        assert "a.jpg or" in reading.faults[1]  # 丙: there are two of this name
        counts = {name: count for name, count in reading.lost.items() if count}
        assert counts == {
            "masks: kept as their boxes": 1,
            "outlines of several parts: kept as their boxes": 1,
            "annotations of no image in the file: left out": 1,
        }


def test_coco_of_one_id_for_two_photos_and_labels_that_are_no_line(tmp_path: Path) -> None:
    names = {1: "a\nb", 2: "<|im_end|>", 3: "标签"}
    categories = [{"id": number, "name": name} for number, name in names.items()]
    images = [
        {"id": number, "file_name": f"{index}.jpg", "width": 100, "height": 100}
        for index, number in enumerate((1, 1, 2, 3, 4))
    ]
    box = {"bbox": [10, 10, 30, 30]}
    annotations = [
        {"id": 1, "image_id": 1, "category_id": 3} | box,
        *({"id": n, "image_id": n, "category_id": n - 1} | box for n in (2, 3, 4)),
    ]
    content = {"images": images, "categories": categories, "annotations": annotations}
    file = tmp_path / "coco.json"
    file.write_text(json.dumps(content), "utf-8")
    reading = Reading()
    (annotation,) = read_annotations(file, reading)
    assert annotation.image.name == "4.jpg"
    problems = ("stands twice", "stands twice", "line break", "special token")
    faults = zip(map(str, reading.faults), problems, strict=True)
    assert all(problem in fault for fault, problem in faults)


def test_corrected_labels_find_the_photos_that_they_were_made_from(tmp_path: Path) -> None:
    originals = [paint(tmp_path / "photos" / name / "a.jpg", rotated=True) for name in "甲乙"]
    write_export("labelme", originals, tmp_path / "sent", LABELS["category"])
    for label_file in (tmp_path / "sent").glob("*.json"):
        text = label_file.read_text(encoding="utf-8")
        label_file.write_text(text.replace("华为,显示完整", "中兴,显示完整"), encoding="utf-8")
    back = list(read_annotations(tmp_path / "sent", photos_folder=tmp_path / "photos"))
    assert {item.image for item in back} == {item.image for item in originals}
    assert {item.objects[0].desc for item in back} == {"BBU设备/中兴,显示完整"}
    with pytest.raises(OptionError, match="no such folder"):
        list(read_labels(tmp_path / "sent", "labelme", Reading(), tmp_path / "nothing"))


def test_a_changed_label_counts_more_than_a_description_that_was_left(tmp_path: Path) -> None:
    paint(tmp_path / "a.jpg")
    shape = GOOD["shapes"][0] | {"label": "挡风板", "description": "标签/4G"}
    (tmp_path / "a.json").write_text(json.dumps(GOOD | {"shapes": [shape]}), encoding="utf-8")
    reading = Reading()
    (annotation,) = read_annotations(tmp_path / "a.json", reading)
    assert annotation.objects[0].desc == "挡风板"
    assert sum(reading.lost.values()) == 1


def test_photos_are_found_below_two_folders_and_nowhere_else(tmp_path: Path) -> None:
    for name in (
        "labels/x.jpg",
        "photos/甲/1.jpg",
        "photos/乙/1.jpg",
        "photos/乙/2.jpg",
        "else/3.jpg",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    labels, photos = tmp_path / "labels", tmp_path / "photos"
    finder = PhotoFinder(labels, photos)
    assert finder.find(["C:\\work\\乙\\2.JPG"]) == photos / "乙" / "2.jpg"
    assert finder.find(["/data/甲/1.jpg"]) == photos / "甲" / "1.jpg"
    assert finder.find(["../x.jpg"]) == labels / "x.jpg"
    with pytest.raises(FormatError, match="or"):
        finder.find(["1.jpg"])
    with pytest.raises(FormatError, match="lies elsewhere"):
        finder.find(["../else/3.jpg"])
    with pytest.raises(FormatError, match="lies elsewhere"):
        finder.find([str(tmp_path / "else" / "3.jpg")])
    assert finder.find(["unknown.jpg"]) == labels / "unknown.jpg"


def test_a_folder_of_training_rows_names_its_file(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text("{}")
    with pytest.raises(IntakeError, match=r"read from their file: name .*train\.jsonl$"):
        recognise(tmp_path)
