"""Lines of every form: items, JSON of later trainings, JSON keyed by the photo."""

from __future__ import annotations

from shenhe.stages.evidence.items import Line, read_text


def read_line(line: str, own: frozenset[str] = frozenset()) -> Line:
    """Read a line; `own` are the categories of the rules. Junk has no items.

    >>> read_line("标签/5G-BBU×1").items[0].categories
    ('标签',)
    """
    return read_text(line, own)
