"""Files that are there whole, or not at all; and what is no file stays what it is."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from shenhe.errors import RunError
from shenhe.files import whole_file


def test_a_file_takes_its_place_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "page.html"
    with whole_file(path) as fresh:
        fresh.write_text("1", encoding="utf-8")
        assert not path.exists()
    assert path.read_text(encoding="utf-8") == "1"
    with pytest.raises(UnicodeEncodeError), whole_file(path) as fresh:
        fresh.write_text("2\udcff", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == "1"


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    pipe, heard = tmp_path / "pipe", []
    os.mkfifo(pipe)
    listener = threading.Thread(target=lambda: heard.append(pipe.read_text(encoding="utf-8")))
    listener.start()
    with whole_file(pipe) as fresh:
        fresh.write_text("figures", encoding="utf-8")
    listener.join(10)
    assert heard == ["figures"]
    assert pipe.is_fifo()


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot be written"), whole_file(tmp_path) as fresh:
        fresh.write_text("1", encoding="utf-8")
