"""Every page that people read is there in English and in Chinese, part by part."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
WITHOUT_CHINESE: set[str] = set()
"""Pages that are still to be written in Chinese; a page that is leaves this list."""
PAIRS = [
    (ROOT / "README.md", ROOT / "README.zh-CN.md"),
    *((page, DOCS / "zh" / page.name) for page in sorted(DOCS.glob("*.md"))),
]


class Outline(NamedTuple):
    """The parts of a page, in order: a mark each, `#` to `######`, code, or rows of a table."""

    parts: list[str]

    @classmethod
    def of(cls, page: Path) -> Outline:
        parts: list[str] = []
        is_code = was_row = False
        for line in page.read_text(encoding="utf-8").splitlines():
            if line.lstrip().startswith("```"):
                is_code = not is_code
                parts += ["code"] if is_code else []
            elif heading := re.match(r"#+(?= )", "" if is_code else line):
                parts.append(heading[0])
            is_row = line.startswith("|") and not is_code
            if is_row and was_row:
                parts[-1] = f"{int(parts[-1].split()[0]) + 1} rows"
            elif is_row:
                parts.append("1 rows")
            was_row = is_row
        return cls(parts)


@pytest.mark.parametrize(("english", "chinese"), PAIRS, ids=[page.name for page, _ in PAIRS])
def test_a_page_has_a_chinese_twin_of_the_same_parts(english: Path, chinese: Path) -> None:
    if english.name in WITHOUT_CHINESE and english.parent == DOCS:
        assert not chinese.exists(), f"{english.name} has its twin: take it off WITHOUT_CHINESE"
        return
    assert Outline.of(chinese).parts == Outline.of(english).parts


def test_no_chinese_page_is_alone() -> None:
    assert {page.name for page in (DOCS / "zh").glob("*.md")} <= {page.name for page, _ in PAIRS}
    assert {page.name for page, _ in PAIRS} >= WITHOUT_CHINESE


@pytest.mark.parametrize(
    "page", [ROOT / "README.zh-CN.md", *sorted((DOCS / "zh").glob("*.md"))], ids=lambda p: p.name
)
def test_a_chinese_page_leads_to_chinese_pages(page: Path) -> None:
    """All but its first link to its own twin, which is the way to English."""
    twin = ROOT / "README.md" if page.parent == ROOT else DOCS / page.name
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+\.md)", page.read_text(encoding="utf-8")):
        led = (page.parent / target).resolve()
        translated = {english: chinese for english, chinese in PAIRS if chinese.exists()}
        assert led == twin or led not in translated, f"{target}: there is a Chinese page"
