"""The memory of photos that are being opened is bounded over all threads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from PIL import Image

from shenhe.errors import PhotoError
from shenhe.photos import memory, opening, read_encoding
from shenhe.photos.memory import MemoryBudget


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
    assert peak[0] < 4 * 4000 * 3000 * opening.BYTES_PER_PIXEL / 2  # not eight photos at once


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
