"""The style sheets, the scripts and the icon of the pages.

Their addresses hold a tag of their contents, so that browsers keep them and never mix versions.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from fastapi import APIRouter, HTTPException, Response

from shenhe.review.static_files import read_files, tag_files

MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FOR_EVER = "public, max-age=31536000, immutable"
router = APIRouter()


@router.get("/static/{tag}/{name}")
def send_file(tag: str, name: str) -> Response:
    """Send a file; one of another version is gone."""
    content = read_files().get(name)
    if tag != tag_files() or content is None:
        raise HTTPException(404)
    media_type = MEDIA_TYPES[PurePosixPath(name).suffix]
    return Response(content, media_type=media_type, headers={"Cache-Control": FOR_EVER})
