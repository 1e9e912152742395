"""The style sheets, the scripts and the icon of a web app's pages, with those that all apps share.

Their addresses hold a tag of their contents, so that browsers keep them and never mix versions.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Final

from fastapi import APIRouter, HTTPException, Response

SHARED: Final = "shenhe.web"
FIRST: Final = "pages.css"
DARK: Final = "dark.css"
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


def list_sheets(package: str) -> list[str]:
    """List the style sheets in the order in which pages read them: that of all pages first.

    The dark theme is no sheet of its own: it changes the colours of the others.

    >>> list_sheets("shenhe.review")[0]
    'pages.css'
    """
    names = sorted(name for name in read_files(package) if name.endswith(".css"))
    return [FIRST, *(name for name in names if name not in (FIRST, DARK))]


def static_routes(package: str) -> APIRouter:
    """Make the route of the files of a package; one of another version is gone.

    Example:
        app.include_router(static_routes("shenhe.review"))

    """
    router = APIRouter()

    @router.get("/static/{tag}/{name}", include_in_schema=False)
    def send_file(tag: str, name: str) -> Response:
        """Send a file."""
        content = read_files(package).get(name)
        if tag != tag_files(package) or content is None:
            raise HTTPException(404)
        media_type = MEDIA_TYPES[PurePosixPath(name).suffix]
        return Response(content, media_type=media_type, headers={"Cache-Control": FOR_EVER})

    return router
