"""What reads text that others wrote, each as a function of bytes that may raise ShenheError alone.

A reader that gives something back is held to more than not crashing: a caption keeps its format, a
line is one line, a verdict is one of two words.
"""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from shenhe.checkpoints.trainer_args import read_trainer_args
from shenhe.cli.main import exit_code
from shenhe.config import load_formats, load_missions, load_prompts, load_teaching, load_vocabulary
from shenhe.errors import FormatError, ShenheError
from shenhe.formats import box_tokens, caption, grammars, lenient_json, summary, verdict
from shenhe.formats.caption_grammar import of_caption
from shenhe.formats.caption_recovery import recover
from shenhe.formats.closing import close_truncated
from shenhe.formats.repetition import is_repeating
from shenhe.formats.text_formats import PLAIN
from shenhe.geometry import Size
from shenhe.intake import PhotoLists, read_annotations
from shenhe.printable import printable
from shenhe.rows.ledger import read_rows
from shenhe.rows.readers import read_captions
from shenhe.rows.status import read_status
from shenhe.runs import find_stage_a
from shenhe.stages.evidence import check, codes, describe, find_contradiction
from shenhe.values import EVIDENCE_AGAINST, EVIDENCE_MISSING, FAIL, photo_key

FOLDER = Path(tempfile.mkdtemp(prefix="shenhe-fuzz-"))
MISSIONS = load_missions()
DOMAIN = load_formats("domain").caption
RRU = load_missions(Path(__file__).parents[2] / "examples" / "rru" / "missions.toml")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _file(name: str, data: bytes) -> Path:
    path = FOLDER / name
    path.write_bytes(data)
    return path


def _caption(data: bytes) -> None:
    text = _text(data)
    for count, frames, form in (
        (1, None, PLAIN.caption),
        (None, [Size(640, 480)], PLAIN.caption),
        (2, None, PLAIN.caption),
        (1, None, DOMAIN),
    ):
        with contextlib.suppress(FormatError):
            recovery = recover(text, count, frames, form)
            again = caption.render(recovery.caption, form)
            assert caption.render(caption.parse(again, form=form), form) == again
            assert recovery.repairs or caption.parse(text, count, frames, form) == recovery.caption
            assert "bbox_2d" not in text or any(recovery.caption.photos) or not recovery.repairs
    with contextlib.suppress(FormatError):
        caption.parse(text)
    with contextlib.suppress(FormatError):
        caption.parse(text, form=DOMAIN)


def _lenient_json(data: bytes) -> None:
    text = _text(data)
    values = lenient_json.read(text)
    assert all(text[value.start] in "{[" for value in values)
    with contextlib.suppress(ValueError, RecursionError):
        if isinstance(json.loads(text), dict | list):
            assert len(values) == 1


def _boxes(data: bytes) -> None:
    text = _text(data)
    if box_tokens.looks_like(text):
        box_tokens.read(text)


def _summary(data: bytes) -> None:
    line = summary.parse(_text(data))
    assert line == line.strip()
    assert len(line.splitlines()) == 1
    line.encode()


def _verdict(data: bytes) -> None:
    text = _text(data)
    judgement = verdict.parse(text)
    assert text.removesuffix("\n") == verdict.render(judgement)


def _trained_on(data: bytes) -> None:
    """Read a text in the formats that are not plain."""
    text = _text(data)
    for formats in (load_formats("keyed"), load_formats("domain")):
        for read in (summary.parse, summary.parse_stored):
            with contextlib.suppress(FormatError):
                line = read(text, formats.summary)
                assert len(line.splitlines()) == 1
                assert summary.parse_stored(line, formats.summary) == line
        with contextlib.suppress(FormatError):
            judgement = verdict.parse(text, formats.verdict)
            assert text.startswith(formats.verdict.openings[judgement.verdict == FAIL] + "\n")


def _formats(data: bytes) -> None:
    load_formats(_file("formats.toml", data))


def _evidence(data: bytes) -> None:
    text = _text(data)
    lines = {photo_key(index): line for index, line in enumerate([text, *text.split("\n")[:9]])}
    for mission in RRU:
        assert mission.evidence is not None
        items = check(lines, mission.evidence)
        assert set(codes(items)) <= {EVIDENCE_MISSING, EVIDENCE_AGAINST}
        assert len(describe(items).splitlines()) <= 1
        photos = {photo for item in items for photo in (*item.right, *item.wrong, *item.doubtful)}
        assert photos <= lines.keys()
        find_contradiction(text, mission.evidence)
    find_contradiction(text)


def _writing(data: bytes) -> None:
    text = _text(data)
    for grammar in (
        of_caption(2),
        of_caption(1, form=DOMAIN),
        grammars.of_summary(),
        grammars.of_verdict(),
    ):
        is_repeating(text, grammar)
        close_truncated(text, grammar)


def _check(data: bytes) -> None:
    path = _file("rows.jsonl", data)
    for kind in ("caption", "summary", "verdict"):
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
            code = exit_code(["check", kind, str(path)])
        shown = out.getvalue()
        assert code in (0, 1, 2), shown
        assert "internal error" not in shown, shown
        assert printable(shown) == shown


def _annotations(data: bytes) -> None:
    for _ in read_annotations(_file("truth.jsonl", data)):
        pass


def _photo_list(data: bytes) -> None:
    for _ in PhotoLists([_file("list.jsonl", data)]):
        pass


def _caption_rows(data: bytes) -> None:
    for _ in read_captions(_file("captions.jsonl", data)):
        pass


def _ledger(data: bytes) -> None:
    for _ in read_rows(_file("rows_of_a_run.jsonl", data)):
        pass


def _stage_a(data: bytes) -> None:
    path = _file("挡风板安装检查.jsonl", data)
    for source in find_stage_a(path, MISSIONS):
        for _ in read_rows(source.path):
            pass


def _status(data: bytes) -> None:
    folder = FOLDER / "run"
    folder.mkdir(exist_ok=True)
    (folder / "a.manifest.json").write_bytes(data)
    read_status(folder)


def _missions(data: bytes) -> None:
    load_missions(_file("missions.toml", data))


def _prompts(data: bytes) -> None:
    load_prompts(_file("prompts.toml", data))


def _vocabulary(data: bytes) -> None:
    load_vocabulary(_file("vocabulary.toml", data))


def _teaching(data: bytes) -> None:
    path = _file("teaching.toml", data)
    load_teaching(path, None, MISSIONS)
    load_teaching(None, path, MISSIONS)


def _trainer_args(data: bytes) -> None:
    _file("args.json", data)
    read_trainer_args(FOLDER)


PARSERS: dict[str, Callable[[bytes], None]] = {
    "caption": _caption,
    "lenient_json": _lenient_json,
    "boxes": _boxes,
    "summary": _summary,
    "verdict": _verdict,
    "trained_on": _trained_on,
    "evidence": _evidence,
    "writing": _writing,
    "check": _check,
    "annotations": _annotations,
    "photo_list": _photo_list,
    "caption_rows": _caption_rows,
    "ledger": _ledger,
    "stage_a": _stage_a,
    "status": _status,
    "missions": _missions,
    "prompts": _prompts,
    "formats": _formats,
    "vocabulary": _vocabulary,
    "teaching": _teaching,
    "trainer_args": _trainer_args,
}


def call(name: str, data: bytes) -> None:
    """Give bytes to a parser; what it may raise is swallowed, everything else passes."""
    with contextlib.suppress(ShenheError):
        PARSERS[name](data)
