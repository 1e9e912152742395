"""What a run wrote: how many of its answers the token limit cut, and which photos were at fault."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shenhe.checkpoints.check import Finding
from shenhe.doctor.photos import DAMAGED_INSIDE, REMEDIES, listed
from shenhe.doctor.subject import Subject
from shenhe.rows.keys import failures_file
from shenhe.rows.ledger import read_rows
from shenhe.shards import is_rows_file
from shenhe.values import photo_key

FEW = 0.005
"""A limit that cuts more than so many answers is too small for what the model has to say."""
CUT = "length"
"""How a row and a failure say that the token limit cut an answer."""


@dataclass(slots=True)
class _Told:
    """What one output tells: how its answers ended, and what was wrong with which photos."""

    ends: Counter[str] = field(default_factory=Counter)
    bad: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    damaged: list[str] = field(default_factory=list)


def check_truncation(subject: Subject) -> Iterator[Finding]:
    """Tell of a run, file by file, which answers the token limit cut and which photos failed."""
    if subject.run_dir is None:
        return
    paths = sorted(filter(is_rows_file, subject.run_dir.rglob("*.jsonl")))
    if not paths:
        yield Finding("error", f"{subject.run_dir}: holds no rows", "name the folder of a run")
    for path in paths:
        told = _read(path)
        yield _of_limit(path, told.ends)
        for code, photos in sorted(told.bad.items()):
            yield from listed(code, photos, "error")
        yield from listed(DAMAGED_INSIDE, told.damaged, "warning")


def _read(path: Path) -> _Told:
    told = _Told()
    for row in read_rows(path):
        answers = (row.get("meta") or {}).get("answers") or {}
        told.ends.update(str(answer.get("finish_reason")) for answer in answers.values())
        told.damaged += _damaged(row)
    failures = failures_file(path)
    for row in read_rows(failures) if failures.exists() else ():
        code = row.get("code")
        if code == CUT:
            told.ends[CUT] += 1
        elif code in REMEDIES and row.get("raw") is None:  # with words of the model, it is no photo
            told.bad[code].append(str(row.get("message") or row.get("item")))
    return told


def _damaged(row: dict[str, Any]) -> Iterator[str]:
    """Name the photos of a row that were read though they are damaged inside."""
    meta = row.get("meta") or {}
    facts = meta.get("facts")
    if facts is None:
        answers = meta.get("answers") or {}
        images = range(len(row.get("images") or ()))
        facts = [(answers.get(photo_key(index)) or {}).get("facts") for index in images]
    for image, known in zip(row.get("images") or (), facts, strict=False):
        if known and known.get("damaged_inside"):
            yield f"{image}: {known['damaged_inside']}"


def _of_limit(path: Path, ends: Counter[str]) -> Finding:
    total, cut = ends.total(), ends[CUT]
    told = f"{path}: {cut} of {total} answers were cut at the token limit"
    if total and cut / total > FEW:
        remedy = "raise --max-new-tokens; where one object is repeated until then, train longer"
        return Finding("warning", f"{told} ({cut / total:.1%})", remedy)
    return Finding("ok", told)
