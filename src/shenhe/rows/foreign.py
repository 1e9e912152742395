"""Rows of other tools: what is missing is filled in, and what is unknown is kept under `extra`.

Nothing here makes a 通过 out of anything else: a verdict that is not said in plain words is none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from pydantic import JsonValue, ValidationError

from shenhe.errors import FormatError, RunError
from shenhe.formats import verdict as verdict_format
from shenhe.formats.text_formats import PLAIN, TextFormats
from shenhe.json_keys import find_repeated_key
from shenhe.row_types import FormatsMeta, Row, SummaryRow, VerdictRow, describe_invalid
from shenhe.rows.fields import (
    folded,
    group_of,
    images_of,
    is_own,
    lines_of,
    mission_of,
    object_of,
)
from shenhe.rows.ledger import BOM, Json
from shenhe.rows.row_formats import formats_meta, verdict_format_of
from shenhe.rows.unfinished import describe_unfinished
from shenhe.values import FAIL, FORMAT, PASS, Judgement, Ruling

_RULINGS: Final[Mapping[str, Ruling]] = {
    PASS: PASS,
    FAIL: FAIL,
    f"审核{PASS}": PASS,
    f"审核{FAIL}": FAIL,
    "pass": PASS,
    "fail": FAIL,
}
_HELD_BACK_BY: Final = ("left_out", "why")
"""Keys of meta that say why a group is not to pass: they hold in any company."""
_HOLDS_BACK: Final = re.compile(
    "undecided|unsure|uncertain|review|pending|fail|error|timeout|timedout|truncat|incomplet|partial"
    "|abort|cancel|interrupt|复核|复审|复查|待|疑|未|不|失败|错误|驳回|超时|截断|中断|取消"
)
"""Words in a status that hold a 通过 back."""
_REASONS: Final = ("reason", "理由", "explanation", "rationale")
"""Names of the reason of a verdict, the first that is there; 原因 is mostly what people wrote."""
_GROUP_ID, _PER_IMAGE = b'"group_id"', b'"per_image"'
_VERDICT_KEYS: Final = (
    *(_GROUP_ID, b'"verdict"', b'"raw"', b'"reason"', b'"p_pass"', b'"status"', b'"log_odds"'),
)
"""Keys that decide."""
_ANSWERS: Final = b'"answers"'

MAX_SHOWN: Final = 40
"""Maximum number of characters of a foreign word that a reason shows."""


class _Decision(NamedTuple):
    """What a row decides, what its model said, and why it is undecided."""

    verdict: Ruling | None
    ruling: Ruling | None
    problem: str = ""


def complete(row: Json, kind: type[Row], mission: str, formats: TextFormats = PLAIN) -> Json:
    """Give a Stage-A row or a verdict row of another tool the fields of its type.

    `mission` is that of the file, for a row that names none; `formats` are those of its `raw`, if
    it names none. Rows of other types stay as they are.
    Raises: RunError for a row that lacks what cannot be filled in.

    >>> row = {"group_id": 7, "per_image": {"image_1": "螺丝×1"}, "site": "S1"}
    >>> filled = complete(row, SummaryRow, "挡风板安装检查")
    >>> filled["group_id"], filled["images"], filled["extra"]
    ('7', ['图片_1'], {'site': 'S1'})
    """
    if kind is SummaryRow:
        return _summary(row, mission)
    return _verdict(row, mission, formats) if kind is VerdictRow else row


def extra_of(*rows: SummaryRow | VerdictRow | None) -> dict[str, JsonValue]:
    """Collect what another tool gave a group, once where several rows of it hold that.

    Example:
        texts = extra_texts(extra_of(summary, verdict))

    """
    return {key: value for row in rows if row for key, value in row.extra.items()}


def extra_texts(extra: Mapping[str, JsonValue]) -> list[tuple[str, str]]:
    """Give keys of another tool with their values as texts.

    >>> extra_texts({"站点": "S1", "次数": [1, None]})
    [('站点', 'S1'), ('次数', '[1, null]')]
    """
    return [
        (key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for key, value in extra.items()
    ]


def refuse_repeated_keys(line: bytes, row: SummaryRow | VerdictRow) -> None:
    """Refuse a row in which a key stands twice: readers of JSON would drop what stands first.

    Raises: RunError that names the key.
    """
    if isinstance(row, SummaryRow):
        once = all(line.count(key) == count for key, count in _summary_keys(row).items())
    else:
        nested = _nested_keys(row) if _ANSWERS in line else {}
        once = all(line.count(key) <= 1 + nested.get(key, 0) for key in _VERDICT_KEYS)
    if once:
        return  # nearly always it is enough to count them
    try:
        json.loads(line.removeprefix(BOM), object_pairs_hook=_object_of_pairs)
    except (ValueError, RecursionError):  # what else is wrong with it is told by its reader
        return


def _summary_keys(row: SummaryRow) -> Mapping[bytes, int]:
    lines = {f'"{key}"'.encode(): 1 + (key in row.meta.answers) for key in row.per_image}
    return {_GROUP_ID: 1, _PER_IMAGE: 1} | lines


def _nested_keys(row: VerdictRow) -> Mapping[bytes, int]:
    """Count the keys of a row of shenhe that stand in its meta as well."""
    of_formats = row.meta.formats is not None
    return {
        b'"verdict"': of_formats + ("verdict" in row.meta.answers),
        b'"raw"': len(row.meta.answers),
    }


def _object_of_pairs(pairs: list[tuple[str, object]]) -> Json:
    if (key := find_repeated_key(pairs)) is not None:
        raise RunError(f"its key {key[:MAX_SHOWN]!r} stands twice")
    return dict(pairs)


def _summary(row: Json, mission: str) -> Json:
    kept: Json = {}
    fields = _identity(row, mission)
    fields |= {"images": images_of(row), "per_image": lines_of(row)}
    fields |= {"timestamp": _text(row, "timestamp", kept), "meta": _meta(row, kept)}
    return fields | {"extra": _extra(row, SummaryRow, kept)}


def _verdict(row: Json, mission: str, formats: TextFormats) -> Json:
    if "verdict" not in row and "raw" not in row:
        raise RunError("a row has neither 'verdict' nor 'raw'")
    kept: Json = {}
    fields = _identity(row, mission)
    raw, reason = _text(row, "raw", kept), _reason(row)
    meta = _meta(row, kept)
    if not meta.get("formats"):
        meta["formats"] = formats_meta(formats).model_dump()
    judgement, problem = _read_raw(raw, meta["formats"])
    decision = _decide(row, judgement, problem)
    if decision.problem:
        kept |= {name: row[name] for name in ("verdict", "reason") if row.get(name)}
        reason = f"{FORMAT}: {decision.problem}"
    elif judgement is not None and not reason:
        reason = judgement.reason
    status = row.get("status")
    if status is not None and _word(status) not in ("decided", "undecided"):
        kept["status"] = status
    if meta.get("ruling") is None:
        meta["ruling"] = decision.ruling
    if decision.problem and not meta.get("why"):
        meta["why"] = [FORMAT]
    return fields | {
        "verdict": decision.verdict,
        "reason": reason,
        "p_pass": row.get("p_pass"),
        "status": "undecided" if decision.verdict is None else "decided",
        "raw": raw,
        "timestamp": _text(row, "timestamp", kept),
        "meta": meta,
        "extra": _extra(row, VerdictRow, kept),
    }


def _decide(row: Json, judgement: Judgement | None, problem: str) -> _Decision:
    """Read the verdict of a row: what it says, or else what its raw text does.

    In doubt it is undecided: in words that nobody knows, with a raw text or a status that says
    otherwise, with a null where a verdict stands, or where it tells that the answer is not whole.
    """
    said = judgement.verdict if judgement else None
    claimed = _RULINGS.get(_word(row["verdict"])) if "verdict" in row else said
    if unfinished := describe_unfinished(row, passes=claimed == PASS):
        return _Decision(None, None, unfinished)
    if "verdict" not in row:
        if _is_held_back(row, said):
            return _Decision(None, said)
        return _Decision(said, said, problem)
    value = row["verdict"]
    if value is None or value == "":
        return _Decision(None, said)
    ruling = _RULINGS.get(_word(value))
    if ruling is None:
        word = str(value)[:MAX_SHOWN]
        return _Decision(None, said, f"verdict {word!r} is neither {PASS} nor {FAIL}")
    if said not in (None, ruling):
        return _Decision(None, said, f"verdict is {ruling}, but raw says {said}")
    held_back = _is_held_back(row, ruling)
    return _Decision(None if held_back else ruling, ruling)


def _is_held_back(row: Json, ruling: Ruling | None) -> bool:
    """Whether the status of a row holds its verdict back: a 通过 in any words of doubt."""
    status = _word(row.get("status"))
    return status == "undecided" or (ruling == PASS and bool(_HOLDS_BACK.search(status)))


def _read_raw(raw: str, named: object) -> tuple[Judgement | None, str]:
    """Read a model's text in the formats of its row, and say what is wrong with it."""
    try:
        form = verdict_format_of(FormatsMeta.model_validate(named))
    except ValidationError as error:
        raise RunError(f"'meta.formats' of a row: {describe_invalid(error)}") from error
    if form is None:
        return None, "nobody knows the formats that the row names"
    try:
        return verdict_format.parse(raw, form), ""
    except FormatError as error:
        return None, f"{error.code}: {error}"


def _identity(row: Json, mission: str) -> Json:
    """Give the fields of which the key of a group is made: see `keys.key_of`."""
    group_id, label = group_of(row)
    return {"group_id": group_id, "mission": mission_of(row, mission), "label": label}


def _meta(row: Json, kept: Json) -> Json:
    """Give what a row was made with; of other tools nothing is known but what they left out."""
    meta = object_of(row, "meta")
    if is_own(row):
        return dict(meta)
    if row.get("meta"):
        kept["meta"] = row["meta"]
    unknown: Json = {"prompt_hash": "", "checkpoint": "", "answers": {}}
    return unknown | {
        name: meta[name] for name in _HELD_BACK_BY if isinstance(meta.get(name), list)
    }


def _reason(row: Json) -> str:
    """Give the reason of a verdict: whatever form it has, no 通过 stands over what it says.

    >>> _reason({"reason": ["挡风板装反", "其余正常"]})
    '挡风板装反；其余正常'
    """
    names = _REASONS[:1] if row.get("raw") else _REASONS
    name = next((name for name in names if row.get(name)), "reason")
    value = row.get(name)
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return "；".join(map(str, value))
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return _text(row, name, {})


def _text(row: Json, name: str, kept: Json) -> str:
    """Give a field as a text; a number is written as one, anything else is kept as it is."""
    value = row.get(name)
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if value is not None:
        kept[name] = value
    return ""


def _extra(row: Json, kind: type[Row], kept: Json) -> Json:
    """Collect the keys that shenhe does not know, with those that another row had carried on."""
    names = {field.alias or name for name, field in kind.model_fields.items()}
    unknown = {name: value for name, value in row.items() if name not in names} | kept
    carried = row.get("extra")
    if isinstance(carried, dict) and not carried.keys() & unknown.keys():
        return carried | unknown
    return unknown if carried is None else unknown | {"extra": carried}


def _word(value: object) -> str:
    return folded(value) if isinstance(value, str) else ""
