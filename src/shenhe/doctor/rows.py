"""Rows of a run: how many answers the token limit cut, and which photos were at fault."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from shenhe.checkpoints.findings import Finding
from shenhe.config import formats_by_hash
from shenhe.doctor.answers import name_formats
from shenhe.doctor.photos import DAMAGED_INSIDE, REMEDIES, list_photos_at_fault
from shenhe.doctor.subject import Subject
from shenhe.errors import spelled
from shenhe.formats.recognition import AnswerKind
from shenhe.formats.text_formats import PLAIN, TextFormats
from shenhe.rows.fields import list_of, meta_of, object_of
from shenhe.rows.keys import failures_file
from shenhe.rows.ledger import Json, read_rows
from shenhe.rows.promise_fingerprints import options_of_output
from shenhe.rows.readers import read_failures
from shenhe.shards import is_rows_file
from shenhe.values import photo_key

MAX_CUT_SHARE = 0.005
"""Maximum share of cut answers: above it the limit is too small for what the model has to say."""
KINDS: Mapping[str, AnswerKind] = {"summarize": "summary", "judge": "verdict"}
"""What the answers of a stage are."""
MAX_TEXTS = 20
"""Raw answers of an output that are looked at."""
CUT = "length"
"""Finish reason, and code of a failure, of an answer that the token limit cut."""


@dataclass(slots=True)
class _RowFacts:
    """Facts of one output: finish reasons, photos at fault by code, photos damaged inside."""

    finish_reasons: Counter[str] = field(default_factory=Counter)
    failed: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    damaged: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    """The first answers, as the model wrote them."""
    kind: AnswerKind | None = None
    """What the texts are, as rows without `meta.answers` tell: those of other tools."""

    def keep_texts(self, texts: Iterable[object]) -> None:
        """Keep answers, as long as there is room."""
        room = max(MAX_TEXTS - len(self.texts), 0)
        self.texts += [text for text in texts if isinstance(text, str)][:room]

    def keep_foreign(self, row: Json) -> None:
        """Keep the lines, or the answer, of a row that another tool wrote."""
        lines = object_of(row, "per_image")
        self.kind = "summary" if lines else "verdict"
        self.keep_texts(lines.values() if lines else [row.get("raw")])


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
        yield from _check_formats(path, facts, subject.formats)


def _read_facts(path: Path) -> _RowFacts:
    facts = _RowFacts()
    for row in read_rows(path):
        answers = object_of(meta_of(row), "answers")
        facts.finish_reasons.update(
            str(object_of(answers, key).get("finish_reason")) for key in answers
        )
        facts.damaged += _describe_damage(row)
        facts.keep_texts(object_of(answers, key).get("raw") for key in answers)
        if not answers and "caption" not in row:
            facts.keep_foreign(row)
    for failure in read_failures(failures_file(path)):
        facts.keep_texts([failure.raw])
        if failure.code == CUT:
            facts.finish_reasons[CUT] += 1
        elif failure.code in REMEDIES and failure.raw is None:  # a model's text is no photo's fault
            facts.failed[failure.code].append(failure.message or failure.item)
    return facts


def _check_formats(path: Path, facts: _RowFacts, formats: TextFormats) -> Iterator[Finding]:
    """Check whether answers have another format than the one that they were read in."""
    options = options_of_output(path)
    kind = facts.kind or KINDS.get(str(options.get("stage")))
    if kind is None:
        return
    named = options.get("formats")
    read_in = formats_by_hash().get(named, formats) if isinstance(named, str) else PLAIN
    other = name_formats(kind, facts.texts, read_in, "answers")
    if other is not None:
        yield replace(other, message=f"{path}: {other.message}")


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
