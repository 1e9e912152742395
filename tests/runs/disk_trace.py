"""Records what a process asks of the disk, and makes of it what a power cut could leave.

What was written and not yet synced may be there or not, whole or by sectors, zeros in its place;
names that were not synced may be missing, the later ones first. As SQLite's crash tests do.
"""

from __future__ import annotations

import io
import os
import random
import shutil
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

SECTOR = 512


class Op(NamedTuple):
    """One call. `file` is a number, as files change their names; `at` a place or a length."""

    kind: str
    path: str = ""
    file: int = 0
    at: int = 0
    data: bytes = b""
    to: str = ""


class Disk:
    """Everything that was done below a folder, in order."""

    def __init__(self, root: Path) -> None:
        self.root, self.ops = root, list[Op]()
        self._files: dict[str, int] = {}
        self._open: dict[int, int | str] = {}
        self._count = 0
        self.indexes: list[tuple[int, str, bytes]] = []
        """What SQLite, which writes by itself, had written: after how many calls, and where."""

    def done(self, op: Op) -> None:
        self._see_indexes()  # as they were just before
        self.ops.append(op)

    def _see_indexes(self) -> None:
        for path in self.root.rglob(".*.index.sqlite"):
            self.indexes.append((len(self.ops), str(path), path.read_bytes()))

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Record what happens meanwhile."""
        with pytest.MonkeyPatch.context() as patch:
            for module, name in ((io, "open"), *((os, n) for n in ("open", "fsync", "mkdir"))):
                patch.setattr(
                    module, name, getattr(self, f"_{name}_{module.__name__}")(getattr(module, name))
                )
            for name in ("replace", "unlink"):
                patch.setattr(os, name, getattr(self, f"_{name}")(getattr(os, name)))
            yield
            self._see_indexes()

    def moment(self, rng: random.Random) -> int:
        """Choose after how many calls the power goes: any, or where much is not on disk yet."""
        before_syncs = [number for number, op in enumerate(self.ops) if op.kind == "sync"]
        return rng.choice((rng.randrange(len(self.ops) + 1), rng.choice(before_syncs)))

    def length(self, calls: int, path: str) -> tuple[int, int]:
        """How long the file of a name is after so many calls, and how much is surely on disk."""
        named: dict[str, int] = {}
        written: defaultdict[int, int] = defaultdict(int)
        synced: defaultdict[int, int] = defaultdict(int)
        for op in self.ops[:calls]:
            match op.kind:
                case "link":
                    named[op.path] = op.file
                case "rename":
                    named[op.to] = named.pop(op.path)
                case "write":
                    written[op.file] = op.at + len(op.data)
                case "truncate":
                    written[op.file] = op.at
                case "sync":
                    synced[op.file] = written[op.file]
        file = named.get(path, 0)
        return written[file], synced[file]

    def after_cut(self, calls: int, rng: random.Random) -> None:
        """Make the folder what it may be when the power goes after so many calls."""
        shutil.rmtree(self.root)
        self.root.mkdir()
        done = self.ops[:calls]
        synced = {(op.kind, op.file or op.path): number for number, op in enumerate(done)}
        names: dict[str, int] = {}
        lost: set[str] = set()
        contents: defaultdict[int, bytearray] = defaultdict(bytearray)
        keep_all = rng.random() < 0.2
        for number, op in enumerate(done):
            if op.kind in ("write", "truncate"):
                safe = keep_all or synced.get(("sync", op.file), -1) > number
                _apply(contents[op.file], op, None if safe else rng)
            elif op.kind in ("link", "mkdir", "rename", "unlink"):
                folder = str(Path(op.path).parent)
                safe = keep_all or synced.get(("folder", folder), -1) > number
                if folder in lost or (not safe and rng.random() < 0.3):
                    lost.add(folder)  # names come in order: what follows is lost as well
                    continue
                if op.kind == "rename":
                    names[op.to] = names.pop(op.path)
                elif op.kind == "unlink":
                    names.pop(op.path, None)
                else:
                    names[op.path] = op.file
        self._lay_out(names, contents)
        self._lay_out_indexes(calls, rng)

    def _lay_out(self, names: dict[str, int], contents: Any) -> None:
        for name, file in sorted(names.items()):
            path = Path(name)
            folders = [f for f in Path(name).parents if self.root in f.parents]
            if any(str(folder) not in names for folder in folders):
                continue
            if file:
                path.write_bytes(contents[file])
            else:
                path.mkdir(parents=True)

    def _lay_out_indexes(self, calls: int, rng: random.Random) -> None:
        """An index may be any of its states, torn as well: it is never synced."""
        states: defaultdict[Path, list[bytes]] = defaultdict(list)
        for number, name, data in self.indexes:
            if number <= calls:
                states[Path(name)].append(data)
        for path, written in states.items():
            if path.parent.is_dir() and rng.random() < 0.8:
                chosen = rng.choice((written[-1], rng.choice(written[-6:])))
                torn = rng.randrange(len(chosen) + 1) if rng.random() < 0.2 else len(chosen)
                path.write_bytes(chosen[:torn])

    # --- the calls ---

    def _file(self, path: str) -> int:
        if path not in self._files:
            self._count += 1
            self._files[path] = self._count
            self.done(Op("link", path, self._count))
        return self._files[path]

    def _open_io(self, real: Any) -> Any:
        def opened(file: Any, mode: str = "r", *options: Any, **how: Any) -> Any:
            path = os.path.abspath(file) if isinstance(file, str | os.PathLike) else ""
            if not path.startswith(f"{self.root}{os.sep}"):
                return real(file, mode, *options, **how)
            if not set(mode) & set("wax+"):
                result = real(file, mode, *options, **how)
                if path in self._files:
                    self._open[result.fileno()] = self._files[path]
                return result
            raw = _Traced(self, path, mode.replace("b", ""))
            self._open[raw.fileno()] = raw.file
            buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
            if "b" in mode:
                return buffered
            return io.TextIOWrapper(buffered, how.get("encoding"), newline="")

        return opened

    def _open_os(self, real: Any) -> Any:
        def opened(path: Any, flags: int, *options: Any, **how: Any) -> int:
            result: int = real(path, flags, *options, **how)
            self._open[result] = os.path.abspath(path)
            return result

        return opened

    def _fsync_os(self, real: Any) -> Any:
        def synced(opened: int) -> None:
            target = self._open.get(opened)
            if isinstance(target, int):
                self.done(Op("sync", file=target))
            elif target is not None:
                self.done(Op("folder", target))

        return synced

    def _mkdir_os(self, real: Any) -> Any:
        def made(path: Any, *options: Any, **how: Any) -> None:
            real(path, *options, **how)
            if os.path.abspath(path).startswith(f"{self.root}{os.sep}"):
                self.done(Op("mkdir", os.path.abspath(path)))

        return made

    def _replace(self, real: Any) -> Any:
        def replaced(source: Any, target: Any) -> None:
            real(source, target)
            source, target = os.path.abspath(source), os.path.abspath(target)
            if source in self._files:
                self._files[target] = self._files.pop(source)
                self.done(Op("rename", source, to=target))

        return replaced

    def _unlink(self, real: Any) -> Any:
        def unlinked(path: Any, **how: Any) -> None:
            real(path, **how)
            if self._files.pop(os.path.abspath(path), None) is not None:
                self.done(Op("unlink", os.path.abspath(path)))

        return unlinked


class _Traced(io.FileIO):
    """A file whose writes are recorded."""

    def __init__(self, disk: Disk, path: str, mode: str) -> None:
        super().__init__(path, mode)
        self._disk, self.file = disk, disk._file(path)
        if "w" in mode:
            disk.done(Op("truncate", file=self.file))

    def write(self, data: Any) -> int:
        at = os.fstat(self.fileno()).st_size if "a" in self.mode else self.tell()
        count = super().write(data)
        self._disk.done(Op("write", file=self.file, at=at, data=bytes(data[:count])))
        return count

    def truncate(self, size: int | None = None) -> int:
        result = super().truncate(size)
        self._disk.done(Op("truncate", file=self.file, at=result))
        return result


def _apply(content: bytearray, op: Op, rng: random.Random | None) -> None:
    """Do what was done to a file; or, where chance has a say, some of it."""
    if op.kind == "truncate":
        if rng is None or rng.random() < 0.7:
            del content[op.at :]
        return
    data, how = (
        op.data,
        "whole" if rng is None else rng.choice(("whole", "none", "sectors", "torn")),
    )
    if rng is not None and how == "torn":
        data = data[: rng.randrange(len(data) + 1)]
    if how == "none" or not data:
        return
    content.extend(bytes(max(0, op.at + len(data) - len(content))))
    for start in range(op.at - op.at % SECTOR, op.at + len(data), SECTOR):
        first, last = max(start, op.at), min(start + SECTOR, op.at + len(data))
        if how != "sectors" or (rng is not None and rng.random() < 0.5):
            content[first:last] = data[first - op.at : last - op.at]
