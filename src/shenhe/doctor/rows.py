"""What a run wrote: how many of its answers the token limit cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shenhe.checkpoints.check import Finding
from shenhe.doctor.subject import Subject
from shenhe.runs.ledger import read_rows
from shenhe.shards import is_rows_file

FEW = 0.005
"""A limit that cuts more than so many answers is too small for what the model has to say."""


def truncation(subject: Subject) -> Iterator[Finding]:
    """Count the answers of a run that ended at the token limit, file by file."""
    if subject.run_dir is None:
        return
    paths = sorted(filter(is_rows_file, subject.run_dir.rglob("*.jsonl")))
    if not paths:
        yield Finding("error", f"{subject.run_dir}: holds no rows", "name the folder of a run")
    for path in paths:
        yield _of_file(path)


def _of_file(path: Path) -> Finding:
    ends: Counter[str] = Counter()
    for row in read_rows(path):
        ends.update(_ends(row))
    failures = path.with_name(f"{path.stem}.failures.jsonl")
    if failures.exists():
        ends.update("length" for row in read_rows(failures) if row.get("code") == "truncated")
    total, cut = ends.total(), ends["length"]
    told = f"{path}: {cut} of {total} answers were cut at the token limit"
    if total and cut / total > FEW:
        remedy = "raise --max-new-tokens; where one object is repeated until then, train longer"
        return Finding("warning", f"{told} ({cut / total:.1%})", remedy)
    return Finding("ok", told)


def _ends(row: dict[str, Any]) -> list[str]:
    answers = (row.get("meta") or {}).get("answers") or {}
    return [str(answer.get("finish_reason")) for answer in answers.values()]
