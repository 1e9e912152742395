"""Each export in pixels of the upright photo; by the tool's own library where it is light."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from PIL import Image, ImageOps
from pycocotools.coco import COCO

from shenhe.errors import UsageError
from shenhe.exports import FORMATS, write_export
from shenhe.exports.labels import whole_desc
from shenhe.exports.yolo_obb import POLYGONS
from shenhe.formats import caption
from shenhe.formats.desc import category
from shenhe.geometry import Box, Polygon, Size, round_coordinates
from shenhe.intake import read_annotations
from shenhe.values import Annotation, CaptionObject
from tests.annotated import BLUE, GREEN, RED, SIZE, THINGS, near, paint

COLOURS = {"BBU设备": RED, "标签": GREEN, "光纤": BLUE}


@pytest.fixture(params=[False, True], ids=["upright", "on its side"])
def annotation(request: pytest.FixtureRequest, tmp_path: Path) -> Annotation:
    return paint(tmp_path / "照片 1" / "a b.jpg", rotated=request.param)


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _middle(points: list[list[float]]) -> tuple[float, float]:
    return sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)


def _check_on_thing(photo: Image.Image, name: str, points: list[list[float]]) -> None:
    """The middle of an area, and every point of a line, lie on the thing's colour."""
    for x, y in [points[1]] if name == "光纤" else [_middle(points)]:
        assert near(photo.getpixel((round(x), round(y))), COLOURS[name]), name


def _upright(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


# pycocotools has not followed numpy's newer rules.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("name", ["c.json", "c"])
def test_coco_opens_in_pycocotools(name: str, annotation: Annotation, tmp_path: Path) -> None:
    output = tmp_path / name
    losses = write_export("coco", [annotation], output, category)
    assert [count for count in losses.values() if count] == [1]
    file = output if output.is_file() else output / "annotations" / "instances_default.json"
    coco = COCO(str(file))
    (image,) = coco.loadImgs(coco.getImgIds())
    assert Size(image["width"], image["height"]) == SIZE
    names = {item["id"]: item["name"] for item in coco.loadCats(coco.getCatIds())}
    objects = coco.loadAnns(coco.getAnnIds())
    photo = _upright(output / "images" / image["file_name"])  # an absolute name stays as it is
    for item, original in zip(objects, THINGS, strict=True):
        label = names[item["category_id"]]
        assert item["desc"] == item["attributes"]["desc"] == original.desc
        x, y, w, h = item["bbox"]
        assert 0 <= x <= x + w <= SIZE.width
        assert 0 <= y <= y + h <= SIZE.height
        flat = item.get("polyline") or (item["segmentation"] or [[x, y, x + w, y + h]])[0]
        _check_on_thing(photo, label, [list(p) for p in zip(flat[::2], flat[1::2], strict=True)])
    quad = objects[1]
    assert coco.annToMask(quad).sum() == pytest.approx(quad["area"], rel=0.03)


def test_yolo_obb(annotation: Annotation, tmp_path: Path) -> None:
    losses = write_export("yolo-obb", [annotation], tmp_path / "y", category)
    assert sorted(losses.values()) == [1, 3]
    (text,) = (tmp_path / "y" / "labels" / "train").glob("*.txt")
    (photo,) = (tmp_path / "y" / "images" / "train").iterdir()
    assert photo.stem == text.stem
    header = (tmp_path / "y" / "data.yaml").read_text(encoding="utf-8")
    assert 'names:\n  0: "BBU设备"\n  1: "标签"\n' in header
    pixels = _upright(photo)
    for line, name in zip(text.read_text().splitlines(), ("BBU设备", "标签"), strict=True):
        _, *numbers = map(float, line.split())
        assert len(numbers) == 8
        assert all(0 <= number <= 1 for number in numbers)
        points = [
            [x * SIZE.width, y * SIZE.height]
            for x, y in zip(numbers[::2], numbers[1::2], strict=True)
        ]
        _check_on_thing(pixels, name, points)
    # Whatever a reader makes of EXIF, the file beside the labels has these pixels.
    with Image.open(photo) as stored:
        assert stored.size == SIZE
        assert stored.getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize("tool", ["labelme", "x-anylabeling"])
def test_one_json_beside_each_photo(tool: str, annotation: Annotation, tmp_path: Path) -> None:
    assert not write_export(tool, [annotation], tmp_path / "l", category).total()
    (path,) = (tmp_path / "l").glob("*.json")
    content = _json(path)
    assert (content["imageWidth"], content["imageHeight"]) == SIZE
    photo = path.parent / content["imagePath"]
    with Image.open(photo) as stored:
        assert stored.size == SIZE
    pixels = _upright(photo)
    kinds = [shape["shape_type"] for shape in content["shapes"]]
    assert kinds == ["rectangle", "polygon", "linestrip"]
    corners = {"labelme": 2, "x-anylabeling": 4}[tool]
    assert [len(shape["points"]) for shape in content["shapes"]] == [corners, 4, 3]
    for shape, item in zip(content["shapes"], THINGS, strict=True):
        assert shape["description"] == item.desc
        _check_on_thing(pixels, shape["label"], shape["points"])


def test_label_studio(annotation: Annotation, tmp_path: Path) -> None:
    write_export("label-studio", [annotation], tmp_path / "s", whole_desc)
    (task,) = _json(tmp_path / "s" / "tasks.json")
    assert task["data"].keys() == {"image", "width", "height"}
    name = unquote(task["data"]["image"]).removeprefix("/data/local-files/?d=")
    with Image.open(tmp_path / "s" / name) as stored:
        assert stored.size == SIZE
    results = task["predictions"][0]["result"]
    assert [item["type"] for item in results if item["type"] != "textarea"] == [
        *("rectanglelabels", "polygonlabels", "vectorlabels"),
    ]
    assert [item["value"]["text"] for item in results if item["type"] == "textarea"] == [
        [item.desc] for item in THINGS
    ]
    box = results[0]["value"]
    assert (box["x"], box["y"], box["width"], box["height"]) == (10, 10, 30, 30)
    line = results[4]["value"]
    assert line["closed"] is False
    assert [(p["x"], p["y"]) for p in line["vertices"]] == [(10, 70), (50, 90), (90, 70)]
    config = ET.fromstring((tmp_path / "s" / "config.xml").read_text(encoding="utf-8"))
    named = {label.get("value") for label in config.iter("Label")}
    assert named == {item.desc for item in THINGS}


def test_training_rows_come_back_as_they_were(annotation: Annotation, tmp_path: Path) -> None:
    path = tmp_path / "out" / "train.jsonl"
    write_export("training", [annotation], path, category)
    (row,) = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    assert row["objects"][0] == {"bbox_2d": [40, 30, 160, 120], "desc": "BBU设备/华为,显示完整"}
    assert row["objects"][2]["line_points"] == 3
    assert row["summary"] == "BBU设备/华为/显示完整×1，标签/可以识别×1，光纤/有保护措施/铠装×1"
    (back,) = read_annotations(path)
    assert back.image == annotation.image
    again = tmp_path / "out" / "again.jsonl"
    write_export("training", [back], again, category)
    assert again.read_bytes() == path.read_bytes()


def test_what_is_smaller_than_a_pixel_comes_back_too(tmp_path: Path) -> None:
    item = CaptionObject(Box(100, 100, 102, 400), "a")
    small = Annotation(tmp_path / "a.jpg", Size(100, 100), (item,))
    write_export("training", [small], tmp_path / "t.jsonl", category)
    (back,) = read_annotations(tmp_path / "t.jsonl")
    assert back.objects == (item,)


@pytest.mark.parametrize("name", FORMATS)
def test_hostile_descs_missing_photos_and_points_beyond_the_edge(name: str, tmp_path: Path) -> None:
    desc = "<b>&\"'\\/: {x}\n- 1"
    item = CaptionObject(Box(-50, 0, 1200, 900), desc)
    gone = Annotation(tmp_path / "gone.jpg", Size(100, 100), (item,))
    empty = Annotation(paint(tmp_path / "e.jpg").image, SIZE, ())
    losses = write_export(name, [gone, empty], tmp_path / "out", whole_desc)
    assert losses["photos that cannot be opened (missing): their labels are there alone"] == 1
    files = [path for path in (tmp_path / "out", *(tmp_path / "out").rglob("*")) if path.is_file()]
    for path in files:
        if path.suffix == ".json":
            _json(path)
        elif path.suffix == ".xml":
            ET.fromstring(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", FORMATS)
def test_an_existing_output_is_refused_and_kept(name: str, tmp_path: Path) -> None:
    annotation = paint(tmp_path / "a.jpg")
    output = tmp_path / "out"
    write_export(name, [annotation], output, category)
    before = _contents(output)
    with pytest.raises(UsageError, match="--overwrite"):
        write_export(name, [annotation], output, category)

    def breaks() -> Any:
        yield annotation
        raise OSError(28, "No space left on device")

    _fails(lambda: write_export(name, breaks(), output, category, overwrite=True))
    assert _contents(output) == before
    write_export(name, [annotation], output, category, overwrite=True)
    assert _contents(output) == before


@pytest.mark.parametrize("copy_photos", [False, True])
@pytest.mark.parametrize("name", FORMATS)
def test_a_folder_can_be_sent_as_it_is(name: str, copy_photos: bool, tmp_path: Path) -> None:
    """No name and no link leads out of it, and photos of one name stay apart."""
    first, second = (paint(tmp_path / "站点" / folder / "a b.jpg") for folder in "甲乙")
    output = tmp_path / "out"
    written = [first, second, first, replace(second, objects=())]
    losses = write_export(name, written, output, category, copy_photos=copy_photos)
    files = [path for path in output.rglob("*") if path.is_file()]
    assert not any(path.is_symlink() for path in files)
    assert not any(str(tmp_path).encode() in path.read_bytes() for path in files)
    stored = [path for path in files if path.suffix == ".jpg"]
    assert len(stored) == 2
    linked = {path.stat().st_ino for path in stored} == {
        item.image.stat().st_ino for item in (first, second) if isinstance(item.image, Path)
    }
    assert linked is not copy_photos
    if name not in ("training", "messages"):
        assert losses["rows about a photo that an earlier row is about: the first counts"] == 1
    before = {item.image: Path(str(item.image)).read_bytes() for item in (first, second)}
    write_export(name, written, output, category, overwrite=True)
    assert {image: Path(str(image)).read_bytes() for image in before} == before


def test_conversations_to_train_from(tmp_path: Path) -> None:
    annotation = paint(tmp_path / "a.jpg")
    thin = replace(annotation, objects=(CaptionObject(Box(10.1, 0, 10.4, 9), "a"),))
    losses = write_export("messages", [annotation, thin], tmp_path / "m", category)
    assert losses == {"photos whose caption breaks its format (geometry): left out": 1}
    (row,) = map(json.loads, (tmp_path / "m" / "train.jsonl").read_text("utf-8").splitlines())
    user, assistant = row["messages"]
    assert (user["role"], user["content"].count("<image>")) == ("user", 1)
    assert (tmp_path / "m" / row["images"][0]).is_file()
    assert caption.parse(assistant["content"]).photos == (THINGS,)
    (info,) = _json(tmp_path / "m" / "dataset_info.json").values()
    assert (tmp_path / "m" / info["file_name"]).is_file()
    (back,) = read_annotations(tmp_path / "m" / "train.jsonl")
    assert (back.objects, back.size_wh) == (THINGS, SIZE)


def _fails(call: Callable[[], object]) -> None:
    with pytest.raises(Exception, match="No space left"):
        call()


def _contents(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return {str(file): file.read_bytes() for file in files}


HEXAGON = ((100, 500), (300, 450), (500, 500), (500, 800), (300, 860), (100, 800))


def test_polygons_go_into_every_format(annotation: Annotation, tmp_path: Path) -> None:
    thing = CaptionObject(Polygon(HEXAGON), "标签/4G")
    drawn = replace(annotation, objects=(thing,))
    points = [(40, 150), (120, 135), (200, 150), (200, 240), (120, 258), (40, 240)]
    losses = {
        name: write_export(name.removesuffix(".jsonl"), [drawn], tmp_path / name, category)
        for name in (
            "coco",
            "yolo-obb",
            "labelme",
            "x-anylabeling",
            "label-studio",
            "training.jsonl",
        )
    }
    assert [name for name, count in losses.items() if count[POLYGONS]] == ["yolo-obb"]
    assert losses["yolo-obb"][POLYGONS] == 1
    coco = _json(tmp_path / "coco" / "annotations" / "instances_default.json")["annotations"][0]
    assert coco["segmentation"] == [[number for point in points for number in point]]
    for name in ("labelme", "x-anylabeling"):
        (path,) = (tmp_path / name).glob("*.json")
        (shape,) = _json(path)["shapes"]
        assert (shape["shape_type"], list(map(tuple, shape["points"]))) == ("polygon", points)
    results = json.loads((tmp_path / "label-studio" / "tasks.json").read_text())[0]["predictions"]
    region = results[0]["result"][0]
    assert region["type"] == "polygonlabels"
    assert len(region["value"]["points"]) == 6
    (text,) = (tmp_path / "yolo-obb" / "labels" / "train").glob("*.txt")
    (line,) = text.read_text().splitlines()
    corners = [float(number) for number in line.split()[1:]]
    expected = [(0.1, 0.45), (0.5, 0.45), (0.5, 0.86), (0.1, 0.86)]
    assert corners == pytest.approx([number for corner in expected for number in corner], abs=1e-6)
    (again,) = read_annotations(tmp_path / "training.jsonl")
    assert round_coordinates(again.objects[0].shape) == thing.shape
