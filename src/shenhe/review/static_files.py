"""The style sheets, the scripts and the icon of the pages, as the package holds them."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files


@cache
def read_files() -> dict[str, bytes]:
    """Read the files by their names."""
    folder = files("shenhe.review") / "static"
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@cache
def tag_files() -> str:
    """Identify the contents of all files."""
    contents = (part for item in sorted(read_files().items()) for part in item)
    parts = (part.encode() if isinstance(part, str) else part for part in contents)
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def list_sheets() -> list[str]:
    """List the style sheets in the order in which pages read them: that of all pages first.

    The dark theme is no sheet of its own: it changes the colours of the others.
    """
    names = sorted(name for name in read_files() if name.endswith(".css"))
    return ["pages.css", *(name for name in names if name not in ("pages.css", "dark.css"))]
