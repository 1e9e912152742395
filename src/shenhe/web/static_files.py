"""The style sheets, the scripts and the icon of a web app's pages, with those that all apps share.

Their addresses hold a tag of their contents, so that browsers keep them and never mix versions.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Final

from fastapi import APIRouter, HTTPException, Response

SHARED: Final = "shenhe.web"
FIRST: Final = "pages.css"
DARK: Final = "dark.css"
JOINED: Final = "sheets.css"
"""The name of the one sheet that pages read."""
IMPORT: Final = re.compile(r'^import (?:[^"]+ from )?"\./([\w-]+\.js)"', re.MULTILINE)
MEDIA_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FOR_EVER: Final = "public, max-age=31536000, immutable"


@cache
def read_files(package: str) -> dict[str, bytes]:
    """Read the files of a package and the shared ones, by their names.

    >>> "theme.js" in read_files("shenhe.review")
    True
    """
    folders = (files(name) / "static" for name in (SHARED, package))
    return {file.name: file.read_bytes() for folder in folders for file in folder.iterdir()}


@cache
def tag_files(package: str) -> str:
    """Identify the contents of all files.

    >>> len(tag_files("shenhe.review"))
    16
    """
    contents = (part for item in sorted(read_files(package).items()) for part in item)
    parts = (part.encode() if isinstance(part, str) else part for part in contents)
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


@cache
def join_sheets(package: str) -> bytes:
    """Join the style sheets, that of all pages first: one file takes a browser less time than ten.

    The dark theme stays a sheet of its own: it changes the colours of the others.

    >>> join_sheets("shenhe.review").startswith(read_files("shenhe.review")["pages.css"])
    True
    """
    sheets = {name: sheet for name, sheet in read_files(package).items() if name.endswith(".css")}
    rest = (sheets[name] for name in sorted(sheets) if name not in (FIRST, DARK))
    return b"\n".join((sheets[FIRST], *rest))


@cache
def list_modules(package: str, script: str) -> tuple[str, ...]:
    """List the modules that a script imports, directly or not, for a browser to fetch at once.

    >>> list_modules("shenhe.review", "theme.js")
    ()
    """
    modules: dict[str, None] = {}
    pending = [script]
    while pending:
        for match in IMPORT.finditer(read_files(package)[pending.pop()].decode()):
            if match[1] not in modules:
                modules[match[1]] = None
                pending.append(match[1])
    return tuple(modules)


def static_routes(package: str) -> APIRouter:
    """Make the route of the files of a package; one of another version is gone.

    Example:
        app.include_router(static_routes("shenhe.review"))

    """
    router = APIRouter()

    @router.get("/static/{tag}/{name}", include_in_schema=False)
    def send_file(tag: str, name: str) -> Response:
        """Send a file."""
        content = join_sheets(package) if name == JOINED else read_files(package).get(name)
        if tag != tag_files(package) or content is None:
            raise HTTPException(404)
        media_type = MEDIA_TYPES[PurePosixPath(name).suffix]
        return Response(content, media_type=media_type, headers={"Cache-Control": FOR_EVER})

    return router
