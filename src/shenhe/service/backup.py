"""A service in one file: its jobs with their rows, what people decided, and a list of its photos.

Jobs are copied as they are at one moment, while the service runs on. The files of rows are no part
of it: they are a copy of the jobs, and are written anew. Photos are not in it either, which other
tools copy better: they never change, so that a copy made after the backup has all of its photos.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from shenhe.database import identity_file
from shenhe.errors import OptionError, RunError
from shenhe.files import whole_file
from shenhe.locations import locate
from shenhe.row_types import Row, utc_now
from shenhe.rows.audits import read_audit_plan

VERSION: Final = 2
"""Since 2 photos in DIR/photos are named relative to DIR, since 1 all of them by whole paths."""
MANIFEST: Final = "backup.json"
PHOTOS: Final = "photos.jsonl"
JOBS: Final = "service/jobs.sqlite"
DECISIONS: Final = ("review/decisions.sqlite", "review/team.sqlite")
"""What people decided, and who they are; only a service that was reviewed has them."""
AUDIT: Final = "review/audit.json"
"""The draw of the blind audit: without it, what was said blind has no place in any order."""
DAMAGE: Final = (zipfile.BadZipFile, zlib.error, RuntimeError, KeyError, EOFError, ValueError)
"""Raised over a file that is no zip file, or a damaged or a locked one, or holds another thing."""
LIST_PHOTOS: Final = """
    SELECT p.path, p.content_hash, j.id
    FROM service_photos p JOIN service_jobs j USING (run, number)
    WHERE j.has_photos ORDER BY j.number, p.position
"""

_OWN: Final = r"photos/\d{4}-\d\d-\d\d/[0-9a-f]{32}/\d+\.\w+"
OWN_PATH: Final = re.compile(rf".*/({_OWN})", re.DOTALL)
"""The whole path of a photo that a client has handed in."""
QUOTED_PATH: Final = re.compile(rf'"(?:[^"\\]|\\.)*?/({_OWN})"', re.DOTALL)
"""The same as a string of JSON."""


class Backup(NamedTuple):
    """What a backup holds, and how many of its photos are not where its jobs say.

    Example:
        Backup(jobs=2_000, photos=6_100, missing=0)

    """

    jobs: int
    photos: int
    missing: int


class Manifest(Row):
    """The first entry of a backup."""

    version: int
    run: str
    made_at: str
    jobs: int


class ListedPhoto(Row):
    """A photo of a job whose photos have not been deleted."""

    path: str
    content_hash: str
    job: str


def write_backup(data_dir: Path, url: str, path: Path) -> Backup:
    """Write a backup of a service, which may run meanwhile, to a file that only its owner reads.

    Raises: OptionError where jobs lie in PostgreSQL, which has its own tools; RunError if there is
    no service, or it cannot be read, or the file cannot be written.

    Example:
        write_backup(Path("data"), "", Path("2026-11-26.backup"))

    """
    _refuse_postgres("backup", path, url)
    if not (data_dir / JOBS).exists():
        raise RunError(f"{data_dir / JOBS}: there is no service to back up")
    with whole_file(path) as temporary:
        temporary.touch(mode=0o600)
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as file:
            return _write(data_dir, file, temporary.with_name(f"{temporary.name}.sqlite"))


def _write(data_dir: Path, file: zipfile.ZipFile, scratch: Path) -> Backup:
    with _snapshot(data_dir / JOBS, scratch) as jobs:
        file.write(scratch, JOBS)
        (count,) = jobs.execute("SELECT count(*) FROM service_jobs").fetchone()
        photos = missing = 0
        with file.open(PHOTOS, "w", force_zip64=True) as listing:
            for location, content_hash, job_id in jobs.execute(LIST_PHOTOS):
                photo = ListedPhoto(path=location, content_hash=content_hash, job=job_id)
                listing.write(photo.to_json().encode() + b"\n")
                photos, missing = photos + 1, missing + _is_missing(data_dir, location)
    for name in DECISIONS:
        if (data_dir / name).exists():
            with _snapshot(data_dir / name, scratch):
                file.write(scratch, name)
    if plan := read_audit_plan(data_dir):
        file.writestr(AUDIT, f"{plan.to_json()}\n")
    run = identity_file(data_dir).read_text(encoding="ascii").strip()
    manifest = Manifest(version=VERSION, run=run, made_at=utc_now(), jobs=count)
    file.writestr(MANIFEST, manifest.to_json())
    return Backup(count, photos, missing)


def restore_backup(path: Path, data_dir: Path, url: str = "") -> Backup:
    """Put a service back that is lost; what people have decided since is kept.

    Raises: OptionError where jobs lie in PostgreSQL; RunError if DIR holds the jobs of a service,
    or the file is no backup, or a file cannot be written.

    Example:
        restore_backup(Path("2026-11-26.backup"), Path("data"))

    """
    _refuse_postgres("restore", path, url)
    for suffix in ("", "-wal", "-shm"):
        present = data_dir / f"{JOBS}{suffix}"
        if present.exists():
            raise RunError(f"{present}: a service is there already: move it away first")
    with _opened(path) as file:
        manifest = Manifest.model_validate_json(file.read(MANIFEST))
        if manifest.version > VERSION:
            raise RunError(f"{path}: made by a newer version of shenhe: update this one first")
        _put_identity(data_dir, manifest.run)
        for name in (AUDIT, *DECISIONS, JOBS):  # jobs last: they say that all is there
            if name in file.namelist() and not (data_dir / name).exists():
                _extract(file, name, data_dir / name)
        photos = missing = 0
        with file.open(PHOTOS) as listing:
            for line in listing:
                photos += 1
                photo = ListedPhoto.model_validate_json(line)
                missing += _is_missing(data_dir, _shorten_path(photo.path))
    return Backup(manifest.jobs, photos, missing)


def _refuse_postgres(option: str, path: Path, url: str) -> None:
    if url:
        problem = "jobs lie in PostgreSQL: use pg_dump and pg_restore, and copy the files of DIR"
        raise OptionError(option, path, problem)


def _put_identity(data_dir: Path, run: str) -> None:
    """Give a folder the identity of the service; rows in databases are its own by that.

    Raises: RunError if it has another one.
    """
    path = identity_file(data_dir)
    if not path.exists():
        with whole_file(path) as temporary:
            temporary.write_text(run, encoding="ascii")
    elif path.read_text(encoding="ascii").strip() != run:
        raise RunError(f"{data_dir}: holds another run: restore into a folder of its own")


def _extract(file: zipfile.ZipFile, name: str, target: Path) -> None:
    """Write an entry to a file; its checksum is compared as it is read."""
    with (
        whole_file(target) as temporary,
        file.open(name) as source,
        temporary.open("wb") as out,
    ):
        shutil.copyfileobj(source, out, 1 << 20)
        out.flush()
        if name == JOBS:
            _shorten_paths(temporary)


def _shorten_paths(jobs: Path) -> None:
    """Name photos relative to DIR that were named by their whole paths: DIR may be another now.

    Raises: RunError.
    """
    try:
        with closing(sqlite3.connect(jobs)) as connection:
            connection.text_factory = os.fsdecode
            connection.create_function("shorten", 1, _shorten_quoted)
            connection.create_function("shorten_path", 1, _shorten_path)
            connection.execute(
                "UPDATE service_jobs SET photos = shorten(photos) WHERE photos LIKE '%/photos/%'"
            )
            connection.execute(
                "UPDATE service_jobs SET result = shorten(result) WHERE result LIKE '%/photos/%'"
            )
            connection.execute(
                "UPDATE service_photos SET path = shorten_path(path) WHERE path LIKE '%/photos/%'"
            )
            connection.commit()
    except sqlite3.Error as error:
        raise RunError(f"{jobs}: cannot be written: {error}") from error


def _shorten_path(path: str) -> str:
    match = OWN_PATH.fullmatch(path)
    return match[1] if match else path


def _shorten_quoted(text: str | None) -> str | None:
    return QUOTED_PATH.sub(r'"\1"', text) if isinstance(text, str) else text


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a backup; whatever is wrong with the file is told in one line.

    Raises: RunError.
    """
    try:
        with zipfile.ZipFile(path) as file:
            yield file
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}") from error
    except DAMAGE as error:
        raise RunError(f"{path}: is no backup of a service, or is damaged") from error


@contextmanager
def _snapshot(path: Path, scratch: Path) -> Iterator[sqlite3.Connection]:
    """Copy a database as it is at one moment, as one file; it is removed at the end.

    Raises: RunError for a database that is damaged, or cannot be read.
    """
    try:
        scratch.touch(mode=0o600)  # it holds the hashes of keys
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(scratch)) as copy:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
            ((verdict,),) = copy.execute("PRAGMA quick_check(1)").fetchall()
            if verdict != "ok":
                raise RunError(f"{path}: is damaged: {verdict}; keep the last sound backup")
            yield copy
    except sqlite3.Error as error:
        raise RunError(f"{path}: cannot be backed up: {error}") from error
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            scratch.with_name(f"{scratch.name}{suffix}").unlink(missing_ok=True)


def _is_missing(data_dir: Path, location: str) -> bool:
    """Whether a photo of this machine is not there; URLs are not looked at."""
    path = locate(location)
    return isinstance(path, Path) and not (data_dir / path).exists()
