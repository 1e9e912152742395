"""A backup of a service that runs on, and the same service from it, on a fresh disk."""

from __future__ import annotations

import shutil
import sqlite3
import threading
import zipfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from shenhe.database import identify_run
from shenhe.errors import OptionError, RunError
from shenhe.rows.audits import audit_file, plan_audit, read_audit_plan
from shenhe.rows.decisions import Decisions
from shenhe.service.backup import Backup, restore_backup, write_backup
from shenhe.service.job_rows import JobCells
from shenhe.service.photo_uses import find_uses
from shenhe.service.store import JobStore, open_store
from shenhe.service.tables import JOBS
from tests.runs.test_decisions import decision
from tests.service.handed_in import handed_in, judged


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def store(data_dir: Path) -> Iterator[JobStore]:
    with closing(open_store(data_dir)) as store:
        yield store


def finish_first(store: JobStore) -> None:
    (claimed,) = store.claim("worker", 1)
    store.finish(claimed, judged(claimed.job))


def test_a_service_comes_back_as_it_was(store: JobStore, data_dir: Path, tmp_path: Path) -> None:
    photos = data_dir / "photos"
    photos.mkdir()
    for name in ("a", "b"):
        (photos / f"{name}.jpg").write_bytes(b"photo")
    for number in range(3):
        store.submit(handed_in(f"QC-{number}", folder=photos))
    finish_first(store)
    (held,) = store.claim("worker", 1)
    Decisions(data_dir).add(decision("g1"))
    path = tmp_path / "monday.backup"
    assert write_backup(data_dir, "", path) == Backup(3, 6, 0)
    assert path.stat().st_mode & 0o077 == 0
    assert sorted(tmp_path.iterdir()) == [data_dir, path]
    store.finish(held, judged(held.job))  # what comes later is not in it
    before = store.list()
    store.close()
    run = identify_run(data_dir)
    shutil.rmtree(data_dir)
    assert restore_backup(path, data_dir) == Backup(3, 6, 6)
    with closing(open_store(data_dir)) as restored:
        assert restored.database.run == run
        assert restored.counts() == {"queued": 1, "running": 1, "done": 1, "failed": 0}
        assert restored.list()[0] == before[0]
        # The worker of that time is gone: its job is taken again.
        assert [c.job.number for c in restored.claim("worker", 5)] == [2, 3]
        assert restored.submit(handed_in("QC-9"))[0].number == 4
    assert [each.key for each in Decisions(data_dir).trail()] == ["g1"]


def test_the_draw_of_an_audit_comes_back_with_what_was_said_blind(
    store: JobStore, data_dir: Path, tmp_path: Path
) -> None:
    Decisions(data_dir).add(decision("g1").model_copy(update={"audit": 0.05}))
    plan = plan_audit(data_dir, 0.05)
    path = tmp_path / "a.backup"
    write_backup(data_dir, "", path)
    restore_backup(path, tmp_path / "other")
    assert read_audit_plan(tmp_path / "other") == plan
    # Drawn anew, the groups before those that were looked at would count as passed over.
    assert plan_audit(tmp_path / "other", 0.1).number("g1") == plan.number("g1")
    # A plan that is there stays, and a backup without one draws none.
    store.close()
    for file in (data_dir / "service").glob("jobs.sqlite*"):
        file.unlink()
    changed = plan_audit(data_dir, 0.2)
    restore_backup(path, data_dir)
    assert read_audit_plan(data_dir) == changed
    audit_file(data_dir).unlink()
    write_backup(data_dir, "", tmp_path / "b.backup")
    restore_backup(tmp_path / "b.backup", tmp_path / "third")
    assert read_audit_plan(tmp_path / "third") is None


def test_a_backup_while_the_service_works_is_of_one_moment(
    store: JobStore, data_dir: Path, tmp_path: Path
) -> None:
    is_over = threading.Event()

    def work() -> None:
        number = 0
        while not is_over.is_set():
            store.submit(handed_in(f"QC-{number}"))
            finish_first(store)
            number += 1

    thread = threading.Thread(target=work)
    thread.start()
    try:
        while store.counts()["done"] < 5:
            pass
        backups = [write_backup(data_dir, "", tmp_path / f"{n}.backup") for n in range(3)]
    finally:
        is_over.set()
        thread.join()
    for number, backup in enumerate(backups):
        folder = tmp_path / f"restored-{number}"
        restore_backup(tmp_path / f"{number}.backup", folder)
        with closing(open_store(folder)) as restored:
            counts = restored.counts()
            assert sum(counts.values()) == backup.jobs >= 5
            ends = [ended.number for ended in restored.finished_after(0, 10_000)]
            assert ends == list(range(1, counts["done"] + 1))
            assert backup.photos == 2 * backup.jobs


def test_what_is_there_is_never_overwritten(
    store: JobStore, data_dir: Path, tmp_path: Path
) -> None:
    Decisions(data_dir).add(decision("g1"))
    path = tmp_path / "a.backup"
    write_backup(data_dir, "", path)
    with pytest.raises(RunError, match=r"jobs\.sqlite: a service is there already"):
        restore_backup(path, data_dir)
    store.close()
    Decisions(data_dir).add(decision("g2"))
    for file in (data_dir / "service").glob("jobs.sqlite*"):
        file.unlink()
    (data_dir / "service" / "jobs.sqlite-wal").touch()
    with pytest.raises(RunError, match="-wal: a service is there already"):
        restore_backup(path, data_dir)
    (data_dir / "service" / "jobs.sqlite-wal").unlink()
    restore_backup(path, data_dir)
    assert [each.key for each in Decisions(data_dir).trail()] == ["g2", "g1"]
    identify_run(tmp_path / "another")
    with pytest.raises(RunError, match="holds another run"):
        restore_backup(path, tmp_path / "another")


def test_what_is_no_backup_is_told(store: JobStore, data_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="pg_dump"):
        write_backup(data_dir, "postgresql://host/name", tmp_path / "a")
    with pytest.raises(RunError, match="there is no service to back up"):
        write_backup(tmp_path / "nowhere", "", tmp_path / "a")
    with pytest.raises(RunError, match="cannot be written"):
        write_backup(data_dir, "", data_dir)
    store.submit(handed_in("QC-1"))
    path = tmp_path / "whole"
    write_backup(data_dir, "", path)
    target = tmp_path / "target"
    content = path.read_bytes()
    middle = len(content) // 2
    for damaged in (
        b"",
        b"no zip file",
        content[:middle],
        content[: middle // 2] + b"\xff" * 40 + content[middle // 2 + 40 :],
    ):
        path.write_bytes(damaged)
        with pytest.raises(RunError, match="is no backup of a service, or is damaged"):
            restore_backup(path, target)
        assert not (target / "service" / "jobs.sqlite").exists()
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("backup.json", '{"version": 9, "run": "r", "made_at": "", "jobs": 0}')
    with pytest.raises(RunError, match="made by a newer version"):
        restore_backup(path, target)
    with pytest.raises(RunError, match="cannot be read"):
        restore_backup(tmp_path / "absent", target)


def test_a_damaged_service_replaces_no_sound_backup(
    store: JobStore, data_dir: Path, tmp_path: Path
) -> None:
    for number in range(30):
        store.submit(handed_in(f"QC-{number}"))
    path = tmp_path / "a.backup"
    write_backup(data_dir, "", path)
    sound = path.read_bytes()
    store.close()
    database = data_dir / "service" / "jobs.sqlite"
    with closing(sqlite3.connect(database)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with database.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096 * 3)
    with pytest.raises(RunError, match=r"is damaged|cannot be backed up"):
        write_backup(data_dir, "", path)
    assert path.read_bytes() == sound
    assert sorted(tmp_path.iterdir()) == [path, data_dir]


@pytest.mark.parametrize("named", ["relative", "whole"])
def test_a_service_is_put_back_elsewhere_with_its_photos(
    data_dir: Path, tmp_path: Path, named: str
) -> None:
    """Also one of an earlier version, which named photos by their whole paths."""
    folder = data_dir / "photos" / "2026-11-26" / ("ab" * 16)
    folder.mkdir(parents=True)
    for name in ("001", "002"):
        (folder / f"{name}.jpg").write_bytes(b"photo")
    with closing(open_store(data_dir)) as store:
        if named == "whole":
            store.cells = JobCells("an earlier version")
        store.submit(handed_in("QC-1", "001", "002", folder=folder))
        finish_first(store)
        with store.database.reading() as connection:
            cells = connection.execute(select(JOBS.c.photos, JOBS.c.result)).one()
        assert (str(tmp_path) in str(cells)) is (named == "whole")
        write_backup(data_dir, "", tmp_path / "backup")
    elsewhere = tmp_path / "another disk" / "data"
    elsewhere.mkdir(parents=True)
    (data_dir / "photos").rename(elsewhere / "photos")
    shutil.rmtree(data_dir)
    assert restore_backup(tmp_path / "backup", elsewhere) == Backup(1, 2, 0)
    with closing(open_store(elsewhere)) as restored:
        (job,) = restored.list()
        assert all(Path(str(photo.location)).is_file() for photo in job.new.photos)
        assert job.result
        assert job.result.summary
        assert [Path(image).parent.parent.parent.parent for image in job.result.summary.images] == [
            elsewhere,
            elsewhere,
        ]
        (use, *_) = find_uses(restored, replace(job.new, group_id="another"))
        assert use.group_id == job.new.group_id


def test_photos_beside_the_folder_are_named_as_they_are(data_dir: Path, tmp_path: Path) -> None:
    """Those of a watched tree, also one whose path looks much like that of DIR."""
    with closing(open_store(data_dir)) as store:
        for number, folder in enumerate((tmp_path / "data-2" / "photos", tmp_path / "tree")):
            new = handed_in(f"QC-{number}", folder=folder)
            assert store.submit(new)[0].new == new
