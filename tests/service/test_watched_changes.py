"""What comes to a watched folder, or goes back to what it was, is judged as by a run."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

from shenhe.service.store import open_store
from shenhe.service.watched import Watcher
from tests.service.jobs_of_trees import GROUND, MISSIONS


def test_a_file_that_is_left_out_and_one_that_goes_again_are_versions(
    tmp_path: Path, demo_photos: list[Path]
) -> None:
    folder = tmp_path / "tree" / GROUND / "QC-1"
    folder.mkdir(parents=True)
    shutil.copy(demo_photos[0], folder)
    video = folder / "video.mp4"
    with closing(open_store(tmp_path / "data")) as store:
        watcher = Watcher(store, tmp_path / "tree", MISSIONS, quiet_seconds=0)
        assert watcher.look() == 1
        video.write_bytes(b"\0\0\0\x18ftypmp42" * 9)
        assert watcher.look() == 1
        video.unlink()
        assert watcher.look() == 1
        assert watcher.look() == 0
        latest = store.latest(GROUND, "QC-1")
        assert latest is not None
        assert latest.version == 3
