"""The memory of photos that are being opened is bounded over all threads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from PIL import Image

from shenhe.errors import PhotoError
from shenhe.photos import PixelBudget, load, memory, opening, read_encoding
from shenhe.photos.memory import MemoryBudget
from tests.peak_memory import begin_peak


def test_reservations_fit_the_limit_or_are_alone() -> None:
    budget, peak, alone = MemoryBudget(100), [0], []
    lock = threading.Lock()

    def reserve(size: int) -> None:
        with budget.reserve(size), lock:
            peak[0] = max(peak[0], budget.reserved if budget.reserved <= 100 else 0)
            if size > 100:
                alone.append(budget.reserved == size)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(reserve, [30, 40, 500, 60, 10, 300, 99, 1] * 20))
    assert budget.reserved == 0
    assert peak[0] <= 100
    assert alone
    assert all(alone)


def test_an_error_releases_its_reservation() -> None:
    budget = MemoryBudget(10)
    with pytest.raises(ValueError, match="x"), budget.reserve(10):
        raise ValueError("x")
    assert budget.reserved == 0


def test_many_large_photos_in_many_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (4000, 3000)).save(tmp_path / "a.png")
    monkeypatch.setattr(opening, "memory_budget", MemoryBudget(50_000_000))
    process, peak, done = psutil.Process(), [0], threading.Event()
    before = process.memory_info().rss

    def watch() -> None:
        while not done.wait(0.002):
            peak[0] = max(peak[0], process.memory_info().rss - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read_encoding, [tmp_path / "a.png"] * 16))
    done.set()
    watcher.join()
    assert peak[0] < 4 * 4000 * 3000 * opening.OTHER_BYTES / 4  # not eight photos at once


@pytest.mark.parametrize(
    ("name", "mode"),
    [("clear.png", "RGBA"), ("grey.png", "I;16"), ("plain.jpg", "RGB")],
)
def test_a_photo_takes_no_more_than_is_reserved_for_it(
    name: str, mode: str, tmp_path: Path
) -> None:
    side = 3200  # of what is smaller, threads keep some
    with Image.new(mode, (side, side)) as image:
        image.save(tmp_path / name, quality=5, compress_level=1)
    peak = begin_peak()
    load(tmp_path / name, PixelBudget())
    share = opening.JPEG_BYTES if name.endswith("jpg") else opening.OTHER_BYTES
    assert peak() < side * side * share + 12_000_000


def test_out_of_memory_has_its_own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image.Image, "convert", fail)
    Image.new("L", (64, 64)).save(tmp_path / "grey.png")
    with pytest.raises(PhotoError) as caught:
        read_encoding(tmp_path / "grey.png")
    assert caught.value.code == "out_of_memory"
    assert "grey.png" in str(caught.value)
    assert memory.memory_budget.reserved == 0
