"""A disk that is really full, under the jobs alone: it is told so, and nothing is lost."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from shenhe.errors import DatabaseAwayError
from tests.service.apis import client_of, end, form, make_service
from tests.service.handed_in import judged


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "data" / "service"
    disk.mkdir(parents=True)
    mounting = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mounting, check=False).returncode:
        pytest.skip("no right to mount a small disk here")
    yield tmp_path / "data"
    subprocess.run(["umount", "-l", str(disk)], check=True)


def _fill(folder: Path) -> Path:
    """Write a file until there is no room left."""
    path = folder / "filler"
    with path.open("wb", 0) as file, suppress(OSError):
        while file.write(b"x" * 4096):
            pass
    assert os.statvfs(folder).f_bavail == 0
    return path


def test_a_full_disk_is_told_as_one_and_nothing_is_lost(
    data: Path, demo_photos: list[Path]
) -> None:
    service = make_service(data)
    with client_of(service) as client:
        assert client.post("/v1/groups", **form(demo_photos[:1])).status_code == 202
        (claimed,) = service.store.claim("worker", 1)
        filler = _fill(data / "service")
        for number in range(20):  # what the file of the database has room for still
            refused = client.post("/v1/groups", **form(demo_photos[1:2], f"QC-{number}"))
            if refused.status_code != 202:
                break
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "database_away")
        assert int(refused.headers["retry-after"]) > 0
        with pytest.raises(DatabaseAwayError, match="nothing is lost"):
            service.store.finish(claimed, judged(claimed.job, "x" * 500_000))
        filler.unlink()
        assert client.post("/v1/groups", **form(demo_photos[2:3], "QC-99")).status_code == 202
        assert service.store.finish(claimed, judged(claimed.job))
        assert end(service.store).state == "done"
    service.store.close()
