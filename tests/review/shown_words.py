"""What a page shows: every word of it, and whether it is one for people who read a language."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from shenhe.config import load_vocabulary
from shenhe.review.reasons import FURTHER
from shenhe.review.views import CHOICES

NOT_WORDS = re.compile(
    r"<?built-in|<?bound method|<?function |\bobject at\b|0x[0-9a-f]{6,}"
    r"|\bNone\b|\bTrue\b|\bFalse\b(?! passes)|\bundefined\b|\bUndefined"
    r"|\bnull\b|\bNaN\b|\bnan\b|\binf\b|\[object|\{\{|\}\}|\{%|\{[a-z_]+\}"
    r"|Traceback|Error:|namespace\("
)
FOREIGN = ("bdi", "q", "code", "kbd", "textarea", "mark", "option", "style", "script", "b", "title")
"""Elements of ids, names, texts of models and people, file names and keys."""
SHOWN = ("aria-label", "placeholder", "title", "alt", "data-broken")
VOID = ("input", "img", "link", "meta", "br")
LATIN = {"Excel", "Word", "PDF", "CSV", "JSONL", "English", "shenhe", "run", "BBU", "empty"} | {
    *("Shift", "Ctrl", "Del", "Backspace", "Enter", "Esc"),
    *("coordinates", "Stage", "img", "jpeg", "object", "special", "token", "QC", "UTC"),
    *("McNemar", "XLSX", "kappa", "region", "group", "id"),
}
"""Latin words that Chinese pages may have: names, and codes of errors."""


class Words(HTMLParser):
    """Collects all texts of a page, and its own ones, without foreign texts."""

    def __init__(self, page: str, language: str) -> None:
        super().__init__()
        self.all: list[str] = []
        self.own: list[str] = []
        self._language, self._path = language, [("", False)]
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        names = dict(attributes)
        for name in SHOWN:
            self.all.append(names.get(name) or "")
        if names.get("type") not in ("hidden", "checkbox") and tag == "input":
            self.all.append(names.get("value") or "")
        if tag not in VOID:
            foreign = names.get("lang", self._language) != self._language
            self._path.append((tag, self._path[-1][1] or foreign or tag in FOREIGN))

    def handle_endtag(self, tag: str) -> None:
        assert self._path.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if self._path[-1][0] not in ("style", "script"):
            self.all.append(data)
        if not self._path[-1][1]:
            self.own.append(data)


def check_words(page: str, text: str, language: str) -> None:
    """Check every word that a page shows: of its language, and no value of a program."""
    chinese = {*CHOICES, *load_vocabulary().faults, *FURTHER, "中文", "审核"}
    assert f'<html lang="{language}">' in text, page
    words = Words(text, language)
    whole, own = " ".join(words.all), " ".join(words.own)
    assert not (match := NOT_WORDS.search(whole)), (page, match)
    if language == "zh":
        left = [word for word in re.findall(r"[A-Za-z]{2,}", own) if word not in LATIN]
    else:
        left = [word for word in re.findall(r"[\u4e00-\u9fff]+", own) if word not in chinese]
    assert set(left) <= {"图片", "通过概率"}, (page, left)
    _has_no_bare_marks(text, page)


def _has_no_bare_marks(text: str, page: str) -> None:
    """Check that marks of direction occur only in elements and fields that isolate them."""
    kept_in = re.sub(
        r'data-draft="[^"]*"|<bdi>[^<]*</bdi>|<(textarea|option)[^>]*>[^<]*|<(input)[^>]*value="[^"]*"',
        "",
        text,
    )
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", kept_in), page
