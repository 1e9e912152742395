"""What a row of another tool says of an answer that was cut, failed, or never ended.

Tools say it in keys of their own (finish_reason, error, truncated, response.status_code, ...),
while the text beside them looks whole: half of a line, or of a reason, is no answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Final

from shenhe.rows.fields import folded, is_own

MAX_SHOWN: Final = 60
"""Characters of a value that a message shows."""
MAX_DEPTH: Final = 8
"""Depth of nesting at which keys are still looked at."""
SUCCESS: Final = range(200, 300)

_SEPARATORS: Final = re.compile(r"[\s_.\-]+")
_MEMBER: Final = re.compile(r"<?[A-Za-z]\w*\.(\w+)(?:: [^>]*>)?")
_ENDS: Final = frozenset(
    f"{of}reason{plural}" for of in ("finish", "finished", "done", "end") for plural in ("", "s")
)
_STOPS: Final = frozenset({"stopreason", "stopreasons"})
_WHOLE: Final = frozenset(
    (
        *("", "stop", "stopped", "eos", "eostoken", "eosid", "endturn", "endofturn", "end"),
        *("stopsequence", "stoptoken", "stopstring", "stopword", "matchedstop", "imend"),
        *("complete", "completed", "done", "finish", "finished", "success", "succeeded"),
        *("ok", "normal", "none", "null", "true", "0", "正常", "完成", "停止", "成功"),
    )
)
"""Words for an answer that ended by itself, without their separators."""
_CUT: Final = re.compile(
    "length|maxt|maxl|maxnew|limit|truncat|incomplet|partial|cut|loop|repeti|abort|cancel|interrupt|timeout|"
    "timedout|error|fail|filter|safety|refus|blocked|tool|function|oom|exceed|recitation|unfinish|"
    "截断|中断|超时|超限|上限|失败|错误|异常|取消|不完整|未完成|拒绝"
)
"""Words for one that did not."""
_ERRORS: Final = frozenset(
    (
        *("error", "errors", "err", "errormessage", "errormsg", "errmsg", "errorcode", "errortype"),
        *("exception", "exceptions", "traceback", "refusal", "incompletedetails"),
        *("报错", "报错信息", "错误信息", "异常信息"),
    )
)
_CODES: Final = frozenset({"statuscode", "httpstatus", "httpcode", "httpstatuscode"})
_SWITCHES: Final = frozenset(
    (
        *("truncated", "istruncated", "iscut", "cutoff", "wastruncated", "aborted"),
        *("incomplete", "isincomplete", "interrupted", "timedout", "istimeout"),
        *("cancelled", "canceled", "outofmemory", "oom", "截断", "被截断", "是否截断"),
    )
)
_SETTINGS: Final = frozenset({"timeout", "cut"})
"""Names that are those of settings as well, which hold numbers."""
_FAILED: Final = frozenset(
    (
        *("failed", "isfailed", "failure", "failures", "failedimages", "failedphotos"),
        *("missingimages", "missingphotos", "skippedimages", "skippedphotos"),
    )
)
_SUCCEEDED: Final = frozenset(
    (
        *("ok", "success", "succeeded", "issuccess", "successful", "complete", "completed"),
        *("iscomplete", "iscompleted", "finished", "isfinished", "done", "isdone"),
    )
)
_STATES: Final = frozenset({"status", "state"})
_NO: Final = frozenset({"", "0", "false", "no", "none", "null", "nan", "ok", "success", "n/a"})
_NO_CHINESE: Final = frozenset({"无", "否", "没有", "正常", "成功", "-", "无错误", "noerror"})
_PASSED_OVER: Final = frozenset(
    (
        *("per_image", "images", "messages", "logprobs", "usage", "verdict", "raw", "reason"),
        *("group_id", "mission", "label", "timestamp", "p_pass"),
    )
)
"""Keys that say what was answered, or of what, and not how it ended."""


def describe_unfinished(row: Mapping[str, object], *, passes: bool = True) -> str:
    """Say what in a row tells that an answer of it is not whole; empty if nothing does.

    `row` is a row, or only its further keys. Words that may as well mean that the group failed
    count only against what `passes`.

    >>> describe_unfinished({"choices": [{"finish_reason": "length"}]})
    "choices.finish_reason is 'length': the answer is not whole"
    >>> describe_unfinished({"finish_reason": "stop", "error": None})
    ''
    """
    own = is_own(row)
    for key, value in row.items():
        if key in _PASSED_OVER or (key == "meta" and own):
            continue
        path = () if key == "extra" else (key,)
        if key in _STATES and "verdict" in row:
            continue  # the status of a verdict row is read with its verdict
        for told in _find(path, key, value, passes, MAX_DEPTH):
            return told
    return ""


def _find(
    path: tuple[str, ...], key: str, value: object, passes: bool, depth: int
) -> Iterator[str]:
    """Yield what a key and all that lies in it tell of an answer that is not whole."""
    if _tells(_SEPARATORS.sub("", folded(key)), value, passes):
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        yield f"{'.'.join(path)} is {shown[:MAX_SHOWN]!r}: the answer is not whole"
    if depth == 0:
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            if name not in _PASSED_OVER:
                yield from _find((*path, name), name, inner, passes, depth - 1)
    elif isinstance(value, list):
        for inner in value:
            if isinstance(inner, dict | list):
                yield from _find(path, "", inner, passes, depth - 1)


def _tells(name: str, value: object, passes: bool) -> bool:
    if name in _ENDS:
        return any(_word(_last_name(part)) not in _WHOLE for part in _values(value))
    if name in _STOPS:  # of vLLM and others: the number of a token, or a text at which it stopped
        return any(_CUT.search(_word(part)) is not None for part in _values(value))
    if name in _ERRORS or name in _SWITCHES:
        return _is_said(value)
    if name in _SETTINGS:
        return value is True or _word(value) in ("true", "yes", "是")
    if name in _CODES:
        return any(_is_failure(part) for part in _values(value))
    if not passes:
        return False
    if name in _STATES:
        return any(_CUT.search(_word(part)) is not None for part in _values(value))
    if name in _FAILED:
        return _is_said(value)
    return name in _SUCCEEDED and (value is False or _word(value) in ("false", "no", "否"))


def _values(value: object) -> Iterator[object]:
    """Yield the values of one photo, or of each: SGLang gives {"type": "stop", "matched": 7}."""
    if isinstance(value, dict):
        kind = value.get("type")
        yield from [kind] if isinstance(kind, str) else value.values()
    elif isinstance(value, list):
        for part in value:
            yield from _values(part)
    else:
        yield value


def _last_name(value: object) -> object:
    """Take the name out of a member of an enumeration that was written as Python shows it.

    >>> _last_name("FinishReason.STOP"), _last_name("<FinishReason.STOP: 'STOP'>")
    ('STOP', 'STOP')
    """
    match = _MEMBER.fullmatch(value.strip()) if isinstance(value, str) else None
    return match[1] if match else value


def _word(value: object) -> str:
    if value is None:
        return ""
    return _SEPARATORS.sub("", folded(str(value))).strip("<|>")


def _is_said(value: object) -> bool:
    """Whether a value says anything but no."""
    if isinstance(value, dict):
        return any(map(_is_said, value.values()))
    if isinstance(value, list):
        return any(map(_is_said, value))
    return value is not None and folded(str(value)) not in _NO | _NO_CHINESE


def _is_failure(value: object) -> bool:
    text = _word(value)
    return not (text in ("", "0") or (text.isdigit() and int(text) in SUCCESS))
