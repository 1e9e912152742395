"""A photo is complete or a failure: files truncated at any byte, and ends never written."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageFile

from shenhe.errors import PhotoError
from shenhe.locations import locate
from shenhe.photos import PixelBudget, load, read_encoding
from shenhe.photos.heic import TruncatedError, check_heic

SECTOR = 512
KINDS: dict[str, dict[str, Any]] = {
    "heic": {"quality": 60},
    "heic_tiles": {"quality": 60, "tile_size": 128},
    "jpeg": {"quality": 80},
    "jpeg_progressive": {"quality": 80, "progressive": True},
    "jpeg_restarts": {"quality": 80, "restart_marker_rows": 1},
    "jpeg_grey": {"quality": 80},
    "jpeg_cmyk": {"quality": 80},
    "mpo": {"quality": 80},
    "png": {},
    "webp": {"quality": 80},
    "webp_lossless": {"lossless": True},
    "bmp": {},
    "tiff": {},
    "tiff_lzw": {"compression": "tiff_lzw"},
    "tiff_jpeg": {"compression": "jpeg"},
}
"""Kinds of files and their options of `Image.save`."""
COMPRESSED = [name for name in KINDS if name not in ("bmp", "tiff", "mpo")]


def picture(width: int = 240, height: int = 200) -> Image.Image:
    coarse = np.random.default_rng(3).integers(0, 255, (height // 8, width // 8, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def saved(name: str, image: Image.Image | None = None) -> bytes:
    image, kind = image or picture(), name.partition("_")[0].upper()
    if name.endswith(("_grey", "_cmyk")):
        image = image.convert("L" if name.endswith("_grey") else "CMYK")
    buffer = io.BytesIO()
    if kind == "HEIC":
        pillow_heif.from_pillow(image).save(buffer, **KINDS[name])
    elif kind == "MPO":
        image.save(buffer, "MPO", save_all=True, append_images=[image], **KINDS[name])
    else:
        image.save(buffer, kind, **KINDS[name])
    return buffer.getvalue()


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return {name: saved(name) for name in KINDS}


def cuts(size: int) -> Iterator[int]:
    """Yield lengths to truncate to: all near both ends, evenly spaced between."""
    near = 16
    yield from range(1, near)
    yield from range(near, size - near, max(1, size // 60))
    yield from range(size - near, size)


def _code(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    try:
        return "damaged_inside" if read_encoding(path).damaged_inside else "whole"
    except PhotoError as error:
        return error.code if str(path) in str(error) else f"{error.code}, without the path"


@pytest.mark.parametrize("name", KINDS)
def test_a_whole_file_is_whole(name: str, files: dict[str, bytes], tmp_path: Path) -> None:
    assert _code(tmp_path / "a.img", files[name]) == "whole"


@pytest.mark.parametrize("name", KINDS)
def test_a_file_cut_anywhere_is_never_whole(
    name: str, files: dict[str, bytes], tmp_path: Path
) -> None:
    data = files[name]
    end = data.index(b"\xff\xd9", 1000) + 2 if name == "mpo" else len(data)  # of the first photo
    codes = {cut: _code(tmp_path / "a.img", data[:cut]) for cut in cuts(end)}
    assert set(codes.values()) <= {"truncated", "not_a_photo"}
    assert {code for cut, code in codes.items() if cut > SECTOR} == {"truncated"}


@pytest.mark.parametrize("name", COMPRESSED)
def test_an_unwritten_end_is_reported(name: str, files: dict[str, bytes], tmp_path: Path) -> None:
    data = files[name]
    for cut in range(SECTOR, len(data) - SECTOR, max(1, len(data) // 20)):
        zeroed = data[:cut] + bytes(len(data) - cut)
        assert _code(tmp_path / "a.img", zeroed) in ("truncated", "unsupported"), cut


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("trailer", [bytes(4096), b"\0\0\x10\0SEFT" + b"trailer " * 99])
def test_trailing_bytes_are_ignored(
    name: str, trailer: bytes, files: dict[str, bytes], tmp_path: Path
) -> None:
    assert _code(tmp_path / "a.img", files[name] + trailer) == "whole"


def test_a_setting_of_another_library_changes_nothing(
    files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for name in ("jpeg", "png", "tiff", "bmp", "heic"):
        data = files[name]
        assert _code(tmp_path / "a.img", data[: len(data) // 2]) == "truncated"


def _box(kind: bytes, content: bytes, *, wide: bool = False) -> bytes:
    if wide:
        return b"\0\0\0\1" + kind + (len(content) + 16).to_bytes(8, "big") + content
    return (len(content) + 8).to_bytes(4, "big") + kind + content


def _rewritten(data: bytes, how: str) -> bytes:
    """Rewrite the last box of a HEIC, its data, with another form of length."""
    at = data.index(b"mdat") - 4
    if how == "to the end":
        return data[:at] + bytes(4) + data[at + 4 :]
    # A length of 64 bits adds 8 bytes before the data, so the extents of items move by 8.
    whole = bytearray(data[:at] + _box(b"mdat", data[at + 8 :], wide=True))
    return bytes(whole)


def test_data_without_a_length_are_checked_by_item(
    files: dict[str, bytes],
) -> None:
    data = _rewritten(files["heic"], "to the end")
    assert check_heic(data) == ""
    for cut in range(len(data) - 300, len(data), 7):
        with pytest.raises(TruncatedError):
            check_heic(data[:cut])


def test_lengths_of_64_bits_are_checked(files: dict[str, bytes]) -> None:
    data = _rewritten(files["heic"], "64 bits")
    with pytest.raises(TruncatedError, match="'mdat' has"):
        check_heic(data[:-1])


def test_every_tile_is_checked(files: dict[str, bytes]) -> None:
    data = files["heic_tiles"]
    start = data.index(b"mdat") + 4
    for at in range(start, len(data) - SECTOR, 997):
        damaged = data[:at] + bytes(SECTOR) + data[at + SECTOR :]
        try:
            message = check_heic(damaged)
        except TruncatedError as error:
            message = str(error)
        assert message.startswith("tile "), at


def test_a_thumbnail_does_not_replace_the_photo(tmp_path: Path) -> None:
    image = picture(640, 480)
    pillow_heif.from_pillow(image).save(tmp_path / "a.heic", quality=80)
    photo = load(tmp_path / "a.heic", PixelBudget(4096, 64 * 64))
    assert photo.sizes.original_wh == (640, 480)
    assert photo.image.size == photo.sizes.resized_wh


class _Halves(BaseHTTPRequestHandler):
    """Sends half of a photo and disconnects, with or without a Content-Length."""

    photo = b""

    def do_GET(self) -> None:
        self.send_response(200)
        if "announced" in self.path:
            self.send_header("Content-Length", str(len(self.photo)))
        self.end_headers()
        self.wfile.write(self.photo[: len(self.photo) // 2])

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize("name", ["announced.jpg", "silent.jpg"])
def test_a_server_that_disconnects_half_way(name: str, files: dict[str, bytes]) -> None:
    handler = type("Handler", (_Halves,), {"photo": files["jpeg_progressive"]})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with pytest.raises(PhotoError) as caught:
                read_encoding(locate(f"http://127.0.0.1:{server.server_port}/{name}"))
        finally:
            server.shutdown()
            thread.join()
    assert caught.value.code in ("truncated", "unreadable")
