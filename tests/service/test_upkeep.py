"""Backups and the days of photos, as an operator asks for them."""

from __future__ import annotations

import shutil
import time
from contextlib import closing
from pathlib import Path

import pytest

from shenhe.cli.main import exit_code
from shenhe.cli.serve_upkeep import UpkeepOptions, keep_photos
from shenhe.service.retention import Retention, keeping
from shenhe.service.store import open_store
from tests.service.test_retention import done, place


def run(data_dir: Path, capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    code = exit_code(["serve", "--data", str(data_dir), *map(str, words)])
    out, error = capsys.readouterr()
    assert out == ""
    return code, error


def test_a_backup_by_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data_dir, file = tmp_path / "data", tmp_path / "file"
    with closing(open_store(data_dir)) as store:
        store.submit(place(data_dir / "photos", "QC-1"))
    code, error = run(data_dir, capsys, "--backup", file)
    assert (code, error) == (0, f"{file}: 1 jobs; copy {data_dir / 'photos'} too\n")
    code, error = run(data_dir, capsys, "--restore", file)
    assert (code, "a service is there already" in error) == (2, True)
    shutil.move(data_dir / "photos", tmp_path / "photos")
    shutil.rmtree(data_dir)
    code, error = run(data_dir, capsys, "--restore", file)
    assert (code, error.splitlines()[1]) == (
        1,
        "2 of 2 photos are not where their jobs name them",
    )
    with closing(open_store(data_dir)) as store:
        assert store.waiting() == 1
    for words in (
        ("--backup", file, "--restore", file),
        ("--backup", file, "--database", "postgresql://nowhere/x"),
        ("--restore", file, "--database", "postgresql://nowhere/x"),
    ):
        code, error = run(data_dir, capsys, *words)
        assert (code, len(error.splitlines())) == (2, 1), error


def test_old_photos_go_while_it_serves_if_that_is_asked_for(tmp_path: Path) -> None:
    with closing(open_store(tmp_path)) as store:
        done(store, place(tmp_path / "photos", "QC-1"))
        with keep_photos(UpkeepOptions(), store, tmp_path):
            time.sleep(0.1)
        with keep_photos(UpkeepOptions(keep_days=30), store, tmp_path):
            time.sleep(0.1)  # its clock may be wrong still
        assert (tmp_path / "photos" / "QC-1").exists()
        with keeping(Retention(store, tmp_path, 30), pause=0.01):
            until = time.monotonic() + 10
            while (tmp_path / "photos" / "QC-1").exists() and time.monotonic() < until:
                time.sleep(0.01)
        assert not (tmp_path / "photos" / "QC-1").exists()
