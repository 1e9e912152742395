"""What photos take while they are opened is bounded, whoever opens them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from PIL import Image

from shenhe.errors import PhotoError
from shenhe.photos import memory, opening, read_facts
from shenhe.photos.memory import Gate


def test_no_more_is_held_than_fits_but_for_one() -> None:
    gate, most, alone = Gate(100), [0], []
    lock = threading.Lock()

    def hold(size: int) -> None:
        with gate.hold(size), lock:
            most[0] = max(most[0], gate.held if gate.held <= 100 else 0)
            if size > 100:
                alone.append(gate.held == size)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(hold, [30, 40, 500, 60, 10, 300, 99, 1] * 20))
    assert gate.held == 0
    assert most[0] <= 100
    assert alone
    assert all(alone)


def test_an_error_gives_back_what_was_held() -> None:
    gate = Gate(10)
    with pytest.raises(ValueError, match="x"), gate.hold(10):
        raise ValueError("x")
    assert gate.held == 0


def test_many_large_photos_in_many_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (4000, 3000)).save(tmp_path / "a.png")
    monkeypatch.setattr(opening, "gate", Gate(50_000_000))
    process, most, done = psutil.Process(), [0], threading.Event()
    before = process.memory_info().rss

    def watch() -> None:
        while not done.wait(0.002):
            most[0] = max(most[0], process.memory_info().rss - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read_facts, [tmp_path / "a.png"] * 16))
    done.set()
    watcher.join()
    assert most[0] < 4 * 4000 * 3000 * opening.BYTES_A_PIXEL / 2  # not eight photos at once


def test_memory_that_runs_out_has_a_code_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image.Image, "convert", fail)
    Image.new("L", (64, 64)).save(tmp_path / "grey.png")
    with pytest.raises(PhotoError) as caught:
        read_facts(tmp_path / "grey.png")
    assert caught.value.code == "out_of_memory"
    assert "grey.png" in str(caught.value)
    assert memory.gate.held == 0
