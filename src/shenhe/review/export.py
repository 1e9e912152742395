"""Decisions as sheets and rows, and what people corrected as rows to train from."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font

from shenhe.config import Missions, Prompts, load_vocabulary
from shenhe.errors import FormatError
from shenhe.exports import training
from shenhe.files import whole_file
from shenhe.formats import verdict as verdict_format
from shenhe.formats.caption import from_grouped
from shenhe.geometry import Size
from shenhe.locations import locate
from shenhe.messages import ImagePart, Message
from shenhe.review.faults import stated_faults
from shenhe.review.index import Found, Index
from shenhe.rows.decision_rows import DEFERRED, Decision, Opinion
from shenhe.stages import summary, verdict
from shenhe.values import DUPLICATE_GROUP, FAIL, LEFT_OUT, PASS, Annotation, Judgement, photo_key

COLUMNS = (
    *("group_id", "mission", "label", "model", "p_pass", "model_reason"),
    *("decision", "overruled", "fault", "comment", "reviewer", "at", "version"),
)
RISKY = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet takes for the beginning of a formula, or skips before one."""
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""What a sheet cannot hold."""


class Prompting(NamedTuple):
    """What models were asked by: rows to train from are laid out in the same words."""

    missions: Missions
    prompts: Prompts


@dataclass(frozen=True, slots=True)
class Made:
    """A file's content, how many rows it has, and what was left out of it, and why."""

    content: bytes
    rows: int
    left_out: Counter[str] = field(default_factory=Counter)


def export(name: str, index: Index, prompting: Prompting) -> Made:
    """Make one of the files, see EXPORTS."""
    pairs = ((one, index.group_of(one.key)) for one in index.decided())
    outdated = index.outdated()
    left_out = Counter(
        {"the photos have changed since it was decided": outdated} if outdated else {}
    )
    if name.startswith("decisions."):
        return replace(_SHEETS[name](pairs), left_out=left_out)
    lines = list(_TRAINING[name](pairs, prompting, left_out))
    return Made("".join(f"{line}\n" for line in lines).encode(), len(lines), left_out)


def write_exports(folder: Path, index: Index, prompting: Prompting) -> dict[Path, Made]:
    """Write all of the files to a folder.

    Raises: RunError if they cannot be written.
    """
    written = {}
    for name in EXPORTS:
        made, path = export(name, index, prompting), folder / name
        with whole_file(path) as fresh:
            fresh.write_bytes(made.content)
        written[path] = made
    return written


def safe_cell(value: object) -> str:
    """Write a value so that no spreadsheet takes it for a formula."""
    text = "" if value is None else CONTROL.sub("\ufffd", str(value))
    return f"'{text}" if text.startswith(RISKY) else text


Pairs = Iterator[tuple[Decision, Found | None]]

# --- sheets ---------------------------------------------------------------------------------


def _cells(decision: Decision, found: Found | None) -> list[str]:
    said = decision.opinion
    if said is None:
        raise AssertionError("taken back")
    row = found.verdict if found else None
    p_pass = "" if row is None or row.p_pass is None else f"{row.p_pass:.6f}"
    values = (
        *(decision.group_id, decision.mission, decision.label, decision.verdict),
        *(p_pass, row.reason if row else ""),
        *(said.choice, "yes" if decision.overrules else "no", said.fault),
        *(said.comment, decision.reviewer, decision.at, decision.version),
    )
    return list(map(safe_cell, values))


def _csv(pairs: Pairs) -> Made:
    """Write a CSV that Excel reads as UTF-8, whatever its language is."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    rows = 0
    for rows, (decision, found) in enumerate(pairs, 1):  # noqa: B007 - the last number is the count
        writer.writerow(_cells(decision, found))
    return Made(b"\xef\xbb\xbf" + text.getvalue().encode("utf-8", "replace"), rows)


def _xlsx(pairs: Pairs) -> Made:
    book = Workbook(write_only=True)
    sheet = book.create_sheet("decisions")
    sheet.freeze_panes = "A2"
    for number, width in enumerate((24, 26, 8, 10, 10, 48, 10, 10, 18, 48, 14, 28, 8)):
        sheet.column_dimensions["ABCDEFGHIJKLM"[number]].width = width
    head = [WriteOnlyCell(sheet, name) for name in COLUMNS]
    for cell in head:
        cell.font = Font(bold=True)
    sheet.append(head)
    rows = 0
    for rows, (decision, found) in enumerate(pairs, 1):  # noqa: B007 - the last number is the count
        cells = [WriteOnlyCell(sheet, text[:32_000]) for text in _cells(decision, found)]
        for cell in cells:
            cell.data_type = "s"  # text, whatever it looks like
        sheet.append(cells)
    content = io.BytesIO()
    book.save(content)
    return Made(content.getvalue(), rows)


def _jsonl(pairs: Pairs) -> Made:
    lines = [decision.to_json() + "\n" for decision, _ in pairs]
    return Made("".join(lines).encode(), len(lines))


# --- training rows --------------------------------------------------------------------------


def _stage_a(pairs: Pairs, prompting: Prompting, left_out: Counter[str]) -> Iterator[str]:
    """Write the lines that people corrected, as conversations."""
    for decision, found in pairs:
        lines = decision.opinion.lines if decision.opinion else {}
        if not lines:
            continue
        mission = prompting.missions.find(decision.mission)
        if mission is None:
            left_out[f"{decision.mission}: no such mission"] += 1
            continue
        for key, image in _photos(found, left_out).items():
            if key in lines:
                template = prompting.prompts.summary
                asked = summary.request(key, locate(image), mission, template, 1)
                yield _conversation(asked.messages, lines[key], [image])


def _stage_b(pairs: Pairs, prompting: Prompting, left_out: Counter[str]) -> Iterator[str]:
    """Write the verdicts of groups that were overruled, or whose lines were corrected."""
    faults = load_vocabulary().faults
    for decision, found in pairs:
        said = decision.opinion
        # Where the model had not decided there is nothing to overrule, and all to learn.
        differs = said is not None and said.choice not in (DEFERRED, decision.verdict)
        if said is None or not (differs or said.lines):
            continue
        if unclear := _unclear(said, faults) or _not_shown(found):
            left_out[unclear] += 1
            continue
        mission = prompting.missions.find(decision.mission)
        if mission is None:
            left_out[f"{decision.mission}: no such mission"] += 1
            continue
        photos = _photos(found, left_out)
        if found is None or not photos:
            continue
        own = " ".join((said.comment or said.fault).split())
        reason = own if differs else own or found.verdict.reason
        if not reason:
            left_out["overruled without a comment or a fault: no reason to learn"] += 1
            continue
        try:
            text = verdict_format.render(Judgement(PASS if said.choice == PASS else FAIL, reason))
            verdict_format.parse(text)
            lines = {**found.lines, **said.lines}
            if not photos.keys() <= lines.keys():
                left_out["a photo has no line"] += 1
                continue
            asked = verdict.messages(lines, mission, prompting.prompts.verdict)
        except FormatError as error:
            left_out[f"{error.code}: {error}"] += 1
            continue
        yield _conversation(asked, text, [])


def _unclear(said: Opinion, vocabulary: Sequence[str]) -> str:
    """Say why a decision teaches no verdict; nothing where it does."""
    if said.choice == DEFERRED:
        return "待定: no verdict to learn"
    if said.choice == PASS and stated_faults(said, vocabulary):
        return "通过 with a fault: no verdict to learn"
    return ""


def _not_shown(found: Found | None) -> str:
    """Say why a group's lines are not what a person decided on; nothing where they are."""
    codes = found.verdict.meta.why if found else ()
    code = next((code for code in codes if code in (LEFT_OUT, DUPLICATE_GROUP)), "")
    return f"{code}: the lines do not show what was decided on" if code else ""


def _captions(pairs: Pairs, prompting: Prompting, left_out: Counter[str]) -> Iterator[str]:
    """Write the captions that people corrected, as rows with boxes in pixels."""
    for decision, found in pairs:
        said = decision.opinion
        if said is None or not said.descs:
            continue
        for key, image in _photos(found, left_out).items():
            if found is None or key not in said.descs:
                continue
            caption = found.captions.get(image)
            if caption is None:
                left_out["the caption is not there any more"] += 1
                continue
            changed = said.descs[key]
            (objects,) = from_grouped(caption.caption).photos
            kept = []
            for number, thing in enumerate(objects, 1):
                desc = changed.get(f"object_{number}", thing.desc)
                if desc is not None:
                    kept.append(replace(thing, desc=desc))
            annotation = Annotation(
                locate(image), Size(*caption.sizes_wh[0]), tuple(kept), said.lines.get(key, "")
            )
            yield training.row(annotation, image)


def _photos(found: Found | None, left_out: Counter[str]) -> dict[str, str]:
    """Give the photos of a group by their keys."""
    if found is None or not found.images:
        left_out["the group's photos are not there any more"] += 1
        return {}
    return {photo_key(index): image for index, image in enumerate(found.images)}


def _conversation(messages: tuple[Message, ...], answer: str, images: list[str]) -> str:
    """Write a conversation as ms-swift trains on it."""
    said: list[dict[str, str]] = [
        {
            "role": message.role,
            "content": "".join(
                "<image>" if isinstance(part, ImagePart) else part for part in message.parts
            ),
        }
        for message in messages
    ]
    said.append({"role": "assistant", "content": answer})
    told: dict[str, Any] = {"messages": said} | ({"images": images} if images else {})
    return json.dumps(told, ensure_ascii=False)


_SHEETS: dict[str, Callable[[Pairs], Made]] = {
    "decisions.csv": _csv,
    "decisions.xlsx": _xlsx,
    "decisions.jsonl": _jsonl,
}
_TRAINING: dict[str, Callable[[Pairs, Prompting, Counter[str]], Iterator[str]]] = {
    "stage_a.jsonl": _stage_a,
    "stage_b.jsonl": _stage_b,
    "captions.jsonl": _captions,
}
EXPORTS = {
    "decisions.csv": "text/csv; charset=utf-8",
    "decisions.xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    **dict.fromkeys(("decisions.jsonl", *_TRAINING), "application/x-ndjson"),
}
"""The files that can be made, and their kinds."""
