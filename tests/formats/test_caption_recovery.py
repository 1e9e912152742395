"""What models write beside the format: each case is a text and, beside it, what must be read."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given

from shenhe.errors import FormatError
from shenhe.formats import caption
from shenhe.formats.caption_fields import frames_of
from shenhe.formats.caption_recovery import recover
from shenhe.formats.repairs import Repair
from shenhe.geometry import Box, Line, Polygon, Size
from shenhe.values import Caption, CaptionObject
from tests.formats.test_caption import captions

CASES = sorted((Path(__file__).parent / "captions").glob("*.txt"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    expected = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    if "error" in expected:
        with pytest.raises(FormatError) as caught:
            recover(text, 1)
        assert caught.value.code == expected["error"]
        return
    recovery = recover(text, 1)
    assert caption.to_grouped(recovery.caption) == expected["caption"]
    assert [str(repair) for repair in recovery.repairs] == expected["repairs"]
    assert recovery.truncated == expected["truncated"]


@given(captions)
def test_what_keeps_the_format_is_read_as_it_is(value: Caption) -> None:
    recovery = recover(caption.render(value))
    loops = any(objects.count(item) >= 3 for objects in value.photos for item in objects)
    assert loops or recovery == (value, (), False)


def test_several_photos() -> None:
    first = '"object_1": {"bbox_2d": [1, 2, 3, 4], "desc": "a"}'
    recovery = recover("{'图片_1': {" + first + "}, '图片_2': {}}", 2)
    assert [len(objects) for objects in recovery.caption.photos] == [1, 0]
    with pytest.raises(FormatError, match="expected 2 photos"):
        recover('{"图片_1": {' + first, 2)
    with pytest.raises(FormatError, match="expected 图片_2"):
        recover('{"图片_1": {' + first + '}, "图片_3": {},}', 2)


def test_a_cut_anywhere_gives_the_first_objects_or_an_error() -> None:
    whole = Caption(
        (
            (
                CaptionObject(Box(100, 100, 300, 400), 'BBU设备/"华为"'),
                CaptionObject(Polygon(((10, 20), (90, 20), (90, 60), (10, 60))), "标签/4G"),
                CaptionObject(Line(((1, 2), (3, 4), (5, 6))), "光纤/铠装"),
            ),
        )
    )
    text = caption.render(whole)
    for end in range(len(text)):
        try:
            recovery = recover(text[:end], 1)
        except FormatError:
            assert '"desc": "BBU设备' not in text[:end] or "}" not in text[:end]
            continue
        (objects,) = recovery.caption.photos
        assert objects == whole.photos[0][: len(objects)]
        assert recovery.truncated
        assert any(repair.kind == "truncated" for repair in recovery.repairs)


def test_ten_thousand_mutations_raise_nothing_but_format_errors() -> None:
    rng = random.Random(0)
    texts = [path.read_text(encoding="utf-8")[:400] for path in CASES]
    pieces = ['"', "'", "{", "}", "[", "]", ",", ":", "\\", "图片_1", "object_2", "1e999", "-", "0"]
    pieces += [
        "</think>",
        "<think>",
        "```",
        "\n",
        "NaN",
        "0.5",
        "(1,2),(3,4)",
        "\\ud800",
        "\x00",
        "[]",
        "{}",
    ]
    for _ in range(10_000):
        text = rng.choice(texts)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(text) + 1)
            text = text[:at] + rng.choice([*pieces, ""]) + text[at + rng.randint(0, 3) :]
        try:
            recovery = recover(text, 1)
        except FormatError:
            continue
        # Whatever was read keeps the format, and an empty caption was written as one.
        again = caption.parse(caption.render(recovery.caption), 1)
        assert caption.render(again) == caption.render(recovery.caption)
        if not recovery.caption.photos[0]:
            assert "bbox_2d" not in text


@pytest.mark.parametrize(
    "piece",
    [
        '"',
        "'",
        "{",
        "[",
        '{"图片_1": {"object_1": {',
        "(1,2),",
        "(",
        '"\\',
        "a",
        "1",
        "图片_1: ",
        "-",
        "[]",
        "{}",
        "[{}],",
        "}]",
        '{"a":[',
        '{"object_1": {',
        '"a": {',
        "<think>",
        "</think>[",
        "```json\n[3]\n",
        "[[{",
        '{"bbox_2d": [1, 2, 3, 4], "desc": ',
    ],
)
def test_a_long_text_comes_to_an_end(piece: str) -> None:
    """How long it takes is measured in bench/captions.py; quadratic time would hang here."""
    with pytest.raises(FormatError):
        recover(piece * (1_000_000 // len(piece)) + "\x00", 1)


def test_other_coordinates() -> None:
    text = '{"图片_1": {"object_1": {"bbox_2d": [10, 20, 50, 100], "desc": "a"}}}'
    hundred = frames_of("norm100", [Size(320, 256)])
    assert recover(text, 1, hundred).caption.photos[0][0].shape == Box(100, 200, 500, 1000)
    pixels = frames_of("pixel", [Size(100, 200)])
    assert recover(text, 1, pixels).caption.photos[0][0].shape == Box(100, 100, 500, 500)
    tiny = '{"图片_1": {"object_1": {"bbox_2d": [12, 20, 13, 100], "desc": "a"}}}'
    with pytest.raises(FormatError):  # nothing of it is left in the frame
        recover(tiny, 1, frames_of("pixel", [Size(4000, 3000)]))
    with pytest.raises(FormatError, match="norm1000"):
        recover(text, 1, frames_of("pixel", [Size(40, 200)]))


def test_an_object_is_never_lost_without_a_word() -> None:
    """Brackets taken away, doubled or turned: every object is read, dropped by name, or refused."""
    rng = random.Random(1)
    objects = [f'{{"bbox_2d": [{n}, 20, 900, 950], "desc": "标签/{n}"}}' for n in (1, 22, 333)]
    grouped = ", ".join(f'"object_{n}": {item}' for n, item in enumerate(objects, 1))
    texts = ['{"图片_1": {' + grouped + "}}", "[" + ", ".join(objects) + "]", "\n".join(objects)]
    for _ in range(3000):
        text = rng.choice(texts)
        at = rng.choice([at for at, character in enumerate(text) if character in "{}[],"])
        text = text[:at] + rng.choice(["", text[at] * 2, rng.choice("{}[]")]) + text[at + 1 :]
        try:
            recovery = recover(text, 1)
        except FormatError:
            continue
        (read,) = recovery.caption.photos
        assert len(read) == 3 or any(
            str(repair).startswith(
                ("dropped", "truncated", "trailing", "leading", "stray", "unknown")
            )
            for repair in recovery.repairs
        ), text


def test_joined_values_are_of_the_photos_that_were_asked_about() -> None:
    photo = '{"图片_N": {"object_1": {"bbox_2d": [1, 2, 3, 4], "desc": "a"}}}'
    recovery = recover(photo.replace("N", "1") + "\n" + photo.replace("N", "2"), 2)
    assert [len(objects) for objects in recovery.caption.photos] == [1, 1]
    assert recovery.repairs == (Repair("joined", "2 values"),)
    with pytest.raises(FormatError) as caught:  # whose list is whose is not said
        recover('[{"bbox_2d": [1, 2, 3, 4], "label": "a"}]\n[{"bbox_2d": [5, 6, 7, 8]}]', 2)
    assert caught.value.code == "not_json"


def test_zero_to_one_names_the_option_in_every_frame() -> None:
    text = '[{"bbox_2d": [0.25, 0.5, 0.75, 1.0], "label": "a"}]'
    for frames in (None, frames_of("norm100", [Size(3, 4)]), [Size(640, 480)]):
        with pytest.raises(FormatError, match="--coordinates") as caught:
            recover(text, 1, frames)
        assert caught.value.code == "range"
    unit_box = '{"图片_1": {"object_1": {"bbox_2d": [0, 0, 1, 1], "desc": "a"}}}'
    for frames in (None, frames_of("norm100", [Size(3, 4)]), [Size(640, 480)]):
        with pytest.raises(FormatError, match="--coordinates"):
            recover(unit_box, 1, frames)


def test_what_a_broken_object_lacks_is_named() -> None:
    for text, words in (
        ('[{"bbox_2d": [9, 9, 1, 1], "label": "a"}]', r"图片_1/object_1: bbox_2d \[9, 9, 1, 1\]"),
        ('[{"bbox_2d": [1, 1, 9, 9]}]', "图片_1/object_1 has no desc"),
        ('[{"name": "BBU"}]', "图片_1/object_1 has no geometry"),
        ('{"object_1": {"desc": "a"}}', "图片_1/object_1 has no geometry"),
        ('{"图片_1": {"object_1": {"desc": "a"}}}', "图片_1/object_1 has no geometry"),
        (
            '{"object_1": {"poly": [1, 2, 300, 4], "desc": "a"}}',
            "poly needs two numbers for each of 3 to 64 corners",
        ),
        ('{"object_1": {"poly": [1, 1, 9, 9, 9, 1, 1, 9, 0, 5], "desc": "a"}}', "crosses itself"),
        ('[{"line": [1, 2, 3], "label": "a"}]', "line needs an even count"),
    ):
        with pytest.raises(FormatError, match=words):
            recover(text, 1)
