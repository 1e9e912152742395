"""The folder of what was decided anew: all of it derived, and replaced by the next decision."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pydantic_core import from_json

from shenhe.errors import OptionError, RunError
from shenhe.files import whole_file, write_error
from shenhe.rows.fields import object_of
from shenhe.rows.keys import failures_file
from shenhe.rows.manifest import manifest_file, read_manifest
from shenhe.rows.row_index import drop_index
from shenhe.shards import list_rows_files, list_shards

STAGE: Final = "decide"
"""The stage that manifests of verdicts name which were decided anew."""
MARK: Final = "decide.json"
"""File that says what of a folder was decided anew."""
FOLDERS: Final = ("stage_a", "stage_b", "report", "review")
"""What a decision writes, and what `report` and `review` add."""


class DecideFolder:
    """A folder that holds what was decided anew, and nothing that could be lost.

    `stage_a` is a copy of what the verdicts rest on, so that the folder can be looked at as a run.

    Example:
        with DecideFolder(Path("anew"), Path("out")).opened({"挡风板安装检查.jsonl"}) as folder:
            print(folder.stage_b)

    """

    def __init__(self, path: Path, run_dir: Path) -> None:
        """Check that the folder may be written.

        Raises: OptionError if it holds what no decision wrote, or lies in the run's own folder.
        """
        self._path, self._source = path, run_dir / "stage_a"
        self.stage_a, self.stage_b = path / "stage_a", path / "stage_b"
        self._mark = path / MARK
        problem = self._find_foreign()
        if path.resolve().is_relative_to(run_dir.resolve()):
            problem = f"lies in the run's own folder {run_dir}"
        if problem:
            raise OptionError("output_dir", path, f"{problem}; name another folder")

    @contextmanager
    def opened(self, names: Collection[str]) -> Iterator[DecideFolder]:
        """Write into the folder rows files of some names; those of earlier decisions go.

        Killed meanwhile, it can be written again.
        Raises: RunError if the disk refuses it.
        """
        self._write_mark("writing", {})
        copied = self._copy_stage_a()
        for rows_path in list_rows_files(self.stage_a):
            if rows_path.name not in copied:
                _remove(rows_path)
        yield self
        for rows_path in list_rows_files(self.stage_b):
            if rows_path.name not in names:
                _remove(rows_path)
        self._write_mark("done", self._sizes())

    def _find_foreign(self) -> str:
        """Name what no decision has written here; empty if all of it was."""
        if not self._path.exists():
            return ""
        if not self._path.is_dir():
            return "is no folder"
        visible = sorted(path for path in self._path.iterdir() if not path.name.startswith("."))
        if not visible:
            return ""
        mark = self._read_mark()
        written = (*FOLDERS, MARK, f"{MARK}.new") if mark else ()
        for path in visible:
            if path.name not in written:
                return f"holds {path.name}, which no `shenhe decide` wrote"
        for rows_path in list_rows_files(self.stage_b):
            manifest = manifest_file(rows_path)
            if not manifest.exists() or read_manifest(manifest).options.get("stage") != STAGE:
                return f"holds {rows_path.name}, which no `shenhe decide` wrote"
        sizes = self._sizes()
        if mark.get("state") == "done" and sizes != object_of(mark, "files"):
            before = object_of(mark, "files")
            names = sizes.keys() | before.keys()
            name = min(name for name in names if sizes.get(name) != before.get(name))
            return f"holds {name}, which has changed since `shenhe decide` wrote it"
        return ""

    def _sizes(self) -> dict[str, int]:
        """Give the sizes of all rows and failures."""
        files = (*self.stage_a.glob("*.jsonl"), *self.stage_b.glob("*.jsonl"))
        return {f"{path.parent.name}/{path.name}": path.stat().st_size for path in sorted(files)}

    def _read_mark(self) -> dict[str, object]:
        try:
            mark = from_json(self._mark.read_bytes())
        except (OSError, ValueError):
            return {}
        return mark if isinstance(mark, dict) else {}

    def _write_mark(self, state: str, files: dict[str, int]) -> None:
        content = {"schema": 1, "state": state, "run_dir": str(self._source.parent.absolute())}
        with whole_file(self._mark) as partial:
            text = json.dumps({**content, "files": files}, ensure_ascii=False, indent=2)
            partial.write_text(text + "\n", encoding="utf-8")

    def _copy_stage_a(self) -> set[str]:
        """Copy what has changed of Stage-A, and list its rows files."""
        names = set()
        for rows_path in list_rows_files(self._source):
            names.add(rows_path.name)
            further = [failures_file(rows_path), manifest_file(rows_path)]
            for path in [*list_shards(rows_path), *further]:
                copy = self.stage_a / path.name
                if path.exists():
                    _copy(path, copy)
                else:
                    copy.unlink(missing_ok=True)
        return names


def _copy(path: Path, copy: Path) -> None:
    """Copy a file whole, unless an equal copy is there: of the same size and time."""
    try:
        before = path.stat()
        if copy.exists():
            now = copy.stat()
            if (now.st_size, now.st_mtime_ns) == (before.st_size, before.st_mtime_ns):
                return
        drop_index(copy)
        with whole_file(copy) as partial:
            shutil.copyfile(path, partial)
            os.utime(partial, ns=(before.st_atime_ns, before.st_mtime_ns))
    except OSError as error:
        raise RunError(f"{path}: cannot be copied: {error.strerror}") from error


def _remove(rows_path: Path) -> None:
    """Remove an output of an earlier decision."""
    drop_index(rows_path)
    try:
        for path in (
            *list_shards(rows_path),
            failures_file(rows_path),
            manifest_file(rows_path),
        ):
            path.unlink(missing_ok=True)
    except OSError as error:
        raise write_error(rows_path, error) from error
