r"""How names of folders are written and read: those that are not UTF-8, and labels by other words.

A name that is not UTF-8 (a GBK archive that was unpacked on Linux) cannot stand in a row as it is.
It is written with a backslash before each odd byte: \xb2\xe2. That can be read back, and no other
name is written so.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from difflib import SequenceMatcher
from typing import Final

from shenhe.config.missions import normalize_name
from shenhe.locations import is_utf8
from shenhe.values import Label

LABELS: Final[dict[str, Label]] = {"审核通过": "pass", "审核不通过": "fail"}
SYSTEM: Final = frozenset(
    (
        *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r"),
        *("@eadir", "__macosx", "#recycle", "$recycle.bin", "lost+found"),
        "system volume information",
    )
)
"""What systems and network drives put beside photos, without regard to case."""
ALIKE: Final = 0.75
"""Names of missions that have so much in common are taken for two spellings of one."""

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
_AROUND = re.compile(r"(?:副本|copy|照片|图片|样本|数据|工单|文件夹)+$")


def written_name(name: str) -> str:
    r"""Write a folder's name so that it is UTF-8; one that is so already stays as it is.

    >>> written_name("QC-2\udcb2\udce2")
    'QC-2\\xb2\\xe2'
    """
    if is_utf8(name) and not _ESCAPED.search(name):
        return name
    escaped = name.replace("\\", "\\\\")
    return "".join(
        letter if is_utf8(letter) else f"\\x{ord(letter) & 0xFF:02x}" for letter in escaped
    )


def read_name(text: str) -> str:
    """Read what `written_name` wrote."""

    def unescape(match: re.Match[str]) -> str:
        return "\\" if match[1] == "\\" else chr(0xDC00 + int(match[1][1:], 16))

    return _ESCAPED.sub(unescape, text)


def not_utf8(name: str) -> str:
    """Say that a name is not UTF-8, how it is read as GBK, and what to do."""
    told = f"the name {written_name(name)} is not UTF-8"
    try:
        meant = name.encode("utf-8", "surrogateescape").decode("gb18030")
    except UnicodeDecodeError:
        return f"{told}: rename it"
    return f"{told}, as GBK it is {meant}: rename it, or unpack the archive with `unzip -O GBK`"


def label_of(name: str) -> str:
    """Give the label that a folder's name is, in its usual spelling; nothing for another name."""
    folded = normalize_name(name)
    return folded if folded in LABELS else ""


def label_meant(name: str) -> str:
    """Give the label folder that a name is another word for, nothing where it is none.

    >>> label_meant("PASS"), label_meant("审核未通过"), label_meant("QC-1")
    ('审核通过', '审核不通过', '')
    """
    core = _core(name)
    core = _AROUND.sub("", core) or core
    if _FAIL.fullmatch(core):
        return "审核不通过"
    return "审核通过" if _PASS.fullmatch(core) else ""


def spaced(name: str) -> bool:
    """Whether white space stands before or behind a name, which few see and some systems drop."""
    return name != name.strip()


def is_system(name: str) -> bool:
    """Whether a system or a network drive put it there, and nobody means it."""
    return name.casefold() in SYSTEM


def closest(name: str, known: Iterable[str]) -> str:
    """Give the known name that a name is most probably another spelling of, nothing where none."""
    core = _core(name)
    rated = [(SequenceMatcher(None, core, _core(other)).ratio(), other) for other in known]
    best, other = max(rated, default=(0.0, ""))
    return other if best >= ALIKE else ""


def _core(name: str) -> str:
    """Fold a name to its letters: width, case, script, marks and numbers do not count."""
    folded = unicodedata.normalize("NFKC", name).casefold().translate(_SIMPLE)
    return re.sub(r"[\W_\d]+", "", folded)
