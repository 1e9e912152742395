"""Every foreign library fails in every way it knows, and in three that it never should.

What one item sets off costs that item; what no item escapes stops the run with one line, and the
same command goes on from there. Either way every group ends in rows or failures, once.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import llguidance
import pillow_heif
import pytest
import simplejpeg
from PIL import Image, ImageFile, UnidentifiedImageError

from shenhe.engines.local import LocalEngine
from shenhe.errors import ItemError
from shenhe.records import Message, Request
from tests.faults.injection import NEVER, Fault, assert_accounted_for, read, run

GROUPS = {"g1", "g2", "g3"}
Make = Callable[..., Path]


class PanicException(BaseException):
    """What a panic in a library written in Rust looks like from here."""

    __module__ = "pyo3_runtime"


PANIC = PanicException("called `Option::unwrap()` on a `None` value")
DECODER = (
    OSError("broken data stream"),
    SyntaxError("not a TIFF file"),
    ValueError("bad"),
    EOFError(),
    MemoryError(),
    UnidentifiedImageError("cannot identify"),
    Image.DecompressionBombError("bomb"),
    *NEVER,
)
RUST = (Exception("Unsupported tokenizer"), ValueError("bad"), TypeError("str"), PANIC, *NEVER)


@pytest.fixture
def tree(tmp_path: Path, make_group: Make) -> Path:
    for name in sorted(GROUPS):
        folder = make_group(name, "img-1.jpg")
        # One photo of each group alone is other than all others: equal questions are asked once.
        image = Image.new("RGB", (96, 64), (60 * int(name[1]), 90, 120))
        image.save(folder / "img-1.jpg")
        pillow_heif.from_pillow(image).save(folder / "img-2.heic")
    return tmp_path / "tree"


def _name(value: Any) -> str:
    return type(value).__name__ if isinstance(value, BaseException) else str(value)


@pytest.mark.parametrize("error", DECODER, ids=_name)
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (ImageFile.ImageFile, "__init__"),
        (ImageFile.ImageFile, "load"),
        (simplejpeg, "decode_jpeg"),
        (pillow_heif.HeifFile, "__init__"),
    ],
    ids=_name,
)
def test_photo_libraries(
    tree: Path,
    tmp_path: Path,
    engine: LocalEngine,
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    name: str,
    error: BaseException,
) -> None:
    fault = Fault(owner, name, error, at=2)
    with monkeypatch.context() as patch:
        fault.inject(patch)
        assert run(engine, tree, tmp_path / "out") is None
    assert fault.raised
    assert_accounted_for(tmp_path / "out", GROUPS)
    # Where one decoder gives up a photo without a word of damage, another still reads it.
    assert len({row["group_id"] for row in read(tmp_path / "out" / "a", ".failures")}) <= 1


@pytest.mark.parametrize("error", RUST, ids=_name)
@pytest.mark.parametrize("name", ["__call__", "decode", "apply_chat_template"])
def test_tokenizers(
    tree: Path,
    tmp_path: Path,
    engine: LocalEngine,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    error: BaseException,
) -> None:
    fault = Fault(type(engine._tokenizer), name, error, at=2)
    with monkeypatch.context() as patch:
        fault.inject(patch)
        assert run(engine, tree, tmp_path / "out") is None
    assert fault.raised
    assert_accounted_for(tmp_path / "out", GROUPS)


@pytest.mark.parametrize("error", RUST, ids=_name)
@pytest.mark.parametrize(
    "name", ["deep_copy", "consume_token", "compute_ff_tokens", "is_accepting", "validate_tokens"]
)
def test_llguidance(
    tree: Path,
    tmp_path: Path,
    engine: LocalEngine,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    error: BaseException,
) -> None:
    fault = Fault(llguidance.LLMatcher, name, error, at=3)
    with monkeypatch.context() as patch:
        fault.inject(patch)
        assert run(engine, tree, tmp_path / "out") is None
    assert fault.raised
    assert_accounted_for(tmp_path / "out", GROUPS)


@pytest.mark.parametrize("name", ["__call__", "decode"])
def test_a_conversation_outlives_what_its_tokenizer_raises(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    request = Request("q", (Message("user", ("你好",)),), 4)
    with monkeypatch.context() as patch:
        Fault(type(engine._tokenizer), name, PANIC).inject(patch)
        with pytest.raises(ItemError) as caught:
            list(engine.stream(request))
    assert caught.value.code == "library_error"
    assert list(engine.stream(request))
