r"""Spelling of folder names: escapes of names that are not UTF-8, and synonyms of the labels.

A name that is not UTF-8 (a GBK archive unpacked on Linux) cannot be stored in a JSON row. Its
invalid bytes are escaped as \xb2\xe2; the escape is reversible and unambiguous.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from difflib import SequenceMatcher
from typing import Final

from shenhe.config.label_folders import LABELS
from shenhe.config.missions import normalize_name
from shenhe.locations import is_utf8

SYSTEM_NAMES: Final = frozenset(
    (
        *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r"),
        *("@eadir", "__macosx", "#recycle", "$recycle.bin", "lost+found"),
        "system volume information",
    )
)
"""Files and folders that operating systems and network drives create, in lower case."""
MIN_SIMILARITY: Final = 0.75
"""Least similarity of two names that are taken for spellings of one mission."""

_ESCAPED = re.compile(r"\\(\\|x[0-9a-f]{2})")
_SIMPLE = str.maketrans(
    "審過檢驗擋風裝線纜佈複覆復結絕駁設備",
    "审过检验挡风装线缆布复复复结绝驳设备",
)
_STEP = "(?:审核|审查|审批|审验|验收|检查|复核|复审|初审|终审|质检|结果|已|已经|的)*"
_FAIL = re.compile(
    f"{_STEP}(?:(?:不|未|没|没有|未能|未予|不予|非)(?:通过|合格|过|达标)"
    "|失败|驳回|退回|打回|拒绝|否决|整改|待整改)(?:的)?"
    "|fail(?:ed|ure|s)?|ng|nok|notok|notpass(?:ed)?|unpass(?:ed)?|nopass|reject(?:ed|s)?"
    "|unqualified|disqualified|bad|refused|denied|shenhebutongguo|butongguo|buhege"
)
_PASS = re.compile(
    f"{_STEP}(?:通过|合格|过|成功|达标)(?:的)?"
    "|pass(?:ed|es)?|ok|okay|good|qualified|accept(?:ed)?|approved?|shenhetongguo|tongguo|hege"
)
_SUFFIX_WORDS = re.compile(r"(?:副本|copy|照片|图片|样本|数据|工单|文件夹)+$")


def escape_name(name: str) -> str:
    r"""Escape the bytes of a name that are not UTF-8; a name in UTF-8 is unchanged.

    >>> escape_name("QC-2\udcb2\udce2")
    'QC-2\\xb2\\xe2'
    """
    if is_utf8(name) and not _ESCAPED.search(name):
        return name
    escaped = name.replace("\\", "\\\\")
    return "".join(
        letter if is_utf8(letter) else f"\\x{ord(letter) & 0xFF:02x}" for letter in escaped
    )


def unescape_name(text: str) -> str:
    """Invert `escape_name`."""

    def unescape(match: re.Match[str]) -> str:
        return "\\" if match[1] == "\\" else chr(0xDC00 + int(match[1][1:], 16))

    return _ESCAPED.sub(unescape, text)


def describe_encoding(name: str) -> str:
    """Describe a name that is not UTF-8: its escape, its reading as GBK, and the remedy."""
    problem = f"the name {escape_name(name)} is not UTF-8"
    try:
        as_gbk = name.encode("utf-8", "surrogateescape").decode("gb18030")
    except UnicodeDecodeError:
        return f"{problem}: rename it"
    return f"{problem}, as GBK it is {as_gbk}: rename it, or unpack the archive with `unzip -O GBK`"


def normalize_label(name: str) -> str:
    """Return the label that a folder name spells exactly, but for width and spaces, else ""."""
    folded = normalize_name(name)
    return folded if folded in LABELS else ""


def guess_label(name: str) -> str:
    """Return the label that a folder name is probably a synonym of, else "".

    >>> guess_label("PASS"), guess_label("审核未通过"), guess_label("QC-1")
    ('审核通过', '审核不通过', '')
    """
    core = _core(name)
    core = _SUFFIX_WORDS.sub("", core) or core
    if _FAIL.fullmatch(core):
        return "审核不通过"
    return "审核通过" if _PASS.fullmatch(core) else ""


def has_outer_space(name: str) -> bool:
    """Whether a name begins or ends with white space, which is invisible in most file managers."""
    return name != name.strip()


def is_system_name(name: str) -> bool:
    """Whether an operating system or a network drive creates entries of this name."""
    return name.casefold() in SYSTEM_NAMES


def closest_name(name: str, candidates: Iterable[str]) -> str:
    """Return the candidate that a name is probably another spelling of, else ""."""
    core = _core(name)
    rated = [
        (SequenceMatcher(None, core, _core(candidate)).ratio(), candidate)
        for candidate in candidates
    ]
    similarity, candidate = max(rated, default=(0.0, ""))
    return candidate if similarity >= MIN_SIMILARITY else ""


def _core(name: str) -> str:
    """Reduce a name to its letters, without width, case, script, marks and numbers."""
    folded = unicodedata.normalize("NFKC", name).casefold().translate(_SIMPLE)
    return re.sub(r"[\W_\d]+", "", folded)
