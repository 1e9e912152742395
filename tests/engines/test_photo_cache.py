"""Photos that are decoded once for all questions about them."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from shenhe.engines.photo_cache import MAX_DECODED, CutPhoto, PhotoCache
from shenhe.errors import PhotoError
from shenhe.messages import ImagePart, Message, PhotoSize, Request
from shenhe.photos import LoadedPhoto, PixelBudget

BUDGET = PixelBudget(64 * 64, 320 * 256)
PHOTO_BYTES = 320 * 256 * 3


@dataclass(frozen=True)
class Pixels:
    """A photo as its bytes."""

    data: bytes
    sizes: PhotoSize

    @property
    def nbytes(self) -> int:
        return len(self.data)


@dataclass
class Counted:
    """Cuts photos into bytes, and counts them; `meanwhile` runs in the midst of it."""

    meanwhile: Callable[[], object] = lambda: None
    sizes: list[PhotoSize] = field(default_factory=list)

    def __call__(self, loaded: LoadedPhoto) -> Pixels:
        self.sizes.append(loaded.sizes)
        self.meanwhile()
        return Pixels(loaded.image.tobytes(), loaded.sizes)


def _cache(cut: Callable[[LoadedPhoto], Pixels], photos: float = 9) -> PhotoCache[Pixels]:
    return PhotoCache(BUDGET, cut, int(photos * PHOTO_BYTES))


def _replace(path: Path, by: Path) -> None:
    """Put another photo in place of one, with its name and its time."""
    before = path.stat()
    shutil.copyfile(by, path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_photo_is_decoded_once_wherever_it_stands(
    demo_photos: list[Path], tmp_path: Path
) -> None:
    cut = Counted()
    cache = _cache(cut)
    copied = shutil.copyfile(demo_photos[0], tmp_path / "copy.png")
    first, again, copy = (cache.load(path) for path in (demo_photos[0], demo_photos[0], copied))
    assert first is again is copy
    assert (cache.photos, cache.reused_photos, len(cut.sizes)) == (3, 2, 1)
    # The answer is what it is without anything kept, facts of the file included.
    assert first == _cache(Counted(), 0).load(demo_photos[0])


def test_a_file_that_is_replaced_is_another_photo(demo_photos: list[Path], tmp_path: Path) -> None:
    cache = _cache(Counted())
    path = shutil.copyfile(demo_photos[0], tmp_path / "photo.png")
    first = cache.load(path)
    _replace(path, demo_photos[1])
    second = cache.load(path)
    assert second.data != first.data
    assert second.sizes.facts.content_hash != first.sizes.facts.content_hash
    assert cache.reused_photos == 0


def test_what_was_decoded_is_kept_and_not_what_was_compared(
    demo_photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that changes between its two reads."""
    cache = _cache(Counted())
    path = shutil.copyfile(demo_photos[0], tmp_path / "photo.png")
    get = PhotoCache._get

    def changing(self: PhotoCache[Pixels], content: str) -> CutPhoto | None:
        photo = get(self, content)
        path.write_bytes(demo_photos[1].read_bytes())
        return photo

    with monkeypatch.context() as patch:
        patch.setattr(PhotoCache, "_get", changing)
        decoded = cache.load(path)
    assert cache.load(demo_photos[1]) is decoded
    assert cache.load(demo_photos[0]).data != decoded.data


def test_the_memory_is_bounded_and_the_least_recently_used_goes_first(
    demo_photos: list[Path],
) -> None:
    cut = Counted()
    cache = _cache(cut, 2.5)
    first, second, third = demo_photos[:3]
    for path in (first, second, first, third, first, second):
        cache.load(path)
        assert cache.nbytes <= 2.5 * PHOTO_BYTES
        assert cache.nbytes == PHOTO_BYTES * len(cache)
    assert len(cut.sizes) == 4  # the second one twice
    cache.clear()
    assert cache.nbytes == len(cache) == 0


@pytest.mark.parametrize("photos", [0, 0.5])
def test_too_little_memory_keeps_nothing(demo_photos: list[Path], photos: float) -> None:
    cut = Counted()
    cache = _cache(cut, photos)
    assert cache.load(demo_photos[0]) == cache.load(demo_photos[0])
    assert (len(cut.sizes), len(cache), cache.nbytes) == (2, 0, 0)
    assert (cache.photos, cache.reused_photos) == (2, 0)


def test_threads_wait_for_the_photo_that_another_one_decodes(demo_photos: list[Path]) -> None:
    paths, waiting = demo_photos[:2], threading.Barrier(MAX_DECODED)
    # Both photos are decoded at once, whatever else is asked for: or the barrier would break.
    cut = Counted(meanwhile=lambda: waiting.wait(60))
    cache = _cache(cut)
    asked = [paths[0]] * 3 + [paths[1]] * 3
    with ThreadPoolExecutor(len(asked)) as pool:
        photos = list(pool.map(cache.load, asked))
    assert len(cut.sizes) == len({id(photo) for photo in photos}) == 2


def test_a_damaged_photo_fails_by_its_own_name_each_time(
    demo_photos: list[Path], tmp_path: Path
) -> None:
    data = demo_photos[0].read_bytes()
    paths = [tmp_path / name for name in ("one.png", "two.png")]
    for path in paths:
        path.write_bytes(data[: len(data) // 2])
    cache = _cache(Counted())
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(cache.load, path) for path in paths * 2]
        for path, future in zip(paths * 2, futures, strict=True):
            with pytest.raises(PhotoError, match=path.name):
                future.result(60)
    text = tmp_path / "text.png"
    text.write_text("no photo")
    for path, code in ((tmp_path / "none.png", "missing"), (text, "not_a_photo")):
        with pytest.raises(PhotoError) as caught:
            cache.load(path)
        assert caught.value.code == code


def test_the_photos_of_a_request_come_in_its_order(demo_photos: list[Path]) -> None:
    parts = (ImagePart(demo_photos[1]), "和", ImagePart(demo_photos[0]), ImagePart(demo_photos[1]))
    cache = _cache(Counted())
    first, second, third = cache.load_all(Request("two", (Message("user", parts),), 8))
    assert first is third
    assert second is cache.load(demo_photos[0])
