"""Rows of a run: how many answers the token limit cut, and which photos were at fault."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from shenhe.checkpoints.check import Finding
from shenhe.doctor.photos import DAMAGED_INSIDE, REMEDIES, list_photos_at_fault
from shenhe.doctor.subject import Subject
from shenhe.errors import spelled
from shenhe.rows.fields import list_of, meta_of, object_of
from shenhe.rows.keys import failures_file
from shenhe.rows.ledger import Json, read_rows
from shenhe.rows.readers import read_failures
from shenhe.shards import is_rows_file
from shenhe.values import photo_key

MAX_CUT_SHARE = 0.005
"""Maximum share of cut answers: above it the limit is too small for what the model has to say."""
CUT = "length"
"""Finish reason, and code of a failure, of an answer that the token limit cut."""


@dataclass(slots=True)
class _RowFacts:
    """Facts of one output: finish reasons, photos at fault by code, photos damaged inside."""

    finish_reasons: Counter[str] = field(default_factory=Counter)
    failed: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    damaged: list[str] = field(default_factory=list)


def check_truncation(subject: Subject) -> Iterator[Finding]:
    """Check of a run, file by file, which answers the token limit cut and which photos failed."""
    if subject.run_dir is None:
        return
    paths = sorted(filter(is_rows_file, subject.run_dir.rglob("*.jsonl")))
    if not paths:
        yield Finding("error", f"{subject.run_dir}: holds no rows", "name the folder of a run")
    for path in paths:
        facts = _read_facts(path)
        yield _check_limit(path, facts.finish_reasons)
        for code, photos in sorted(facts.failed.items()):
            yield from list_photos_at_fault(code, photos, "error")
        yield from list_photos_at_fault(DAMAGED_INSIDE, facts.damaged, "warning")


def _read_facts(path: Path) -> _RowFacts:
    facts = _RowFacts()
    for row in read_rows(path):
        answers = object_of(meta_of(row), "answers")
        facts.finish_reasons.update(
            str(object_of(answers, key).get("finish_reason")) for key in answers
        )
        facts.damaged += _describe_damage(row)
    for failure in read_failures(failures_file(path)):
        if failure.code == CUT:
            facts.finish_reasons[CUT] += 1
        elif failure.code in REMEDIES and failure.raw is None:  # a model's text is no photo's fault
            facts.failed[failure.code].append(failure.message or failure.item)
    return facts


def _describe_damage(row: Json) -> Iterator[str]:
    """Name the photos of a row that were read though they are damaged inside."""
    meta, images = meta_of(row), list_of(row, "images")
    facts = list_of(meta, "facts")
    if meta.get("facts") is None:
        answers = object_of(meta, "answers")
        keys = map(photo_key, range(len(images)))
        facts = [object_of(answers, key).get("facts") for key in keys]
    for image, of_photo in zip(images, facts, strict=False):
        damage = of_photo.get("damaged_inside") if isinstance(of_photo, dict) else None
        if damage:
            yield f"{image}: {damage}"


def _check_limit(path: Path, finish_reasons: Counter[str]) -> Finding:
    total, cut = finish_reasons.total(), finish_reasons[CUT]
    message = f"{path}: {cut} of {total} answers were cut at the token limit"
    if total and cut / total > MAX_CUT_SHARE:
        limit = spelled("max_new_tokens")
        remedy = f"raise {limit}; where one object is repeated until then, train longer"
        return Finding("warning", f"{message} ({cut / total:.1%})", remedy)
    return Finding("ok", message)
