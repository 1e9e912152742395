"""The style sheet, the script and the icon of the pages."""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter, HTTPException, Response

MEDIA_TYPES = {"app.css": "text/css", "app.js": "text/javascript", "icon.svg": "image/svg+xml"}
router = APIRouter()


@router.get("/static/{name}")
def send_file(name: str) -> Response:
    """Send a file of the package."""
    if name not in MEDIA_TYPES:
        raise HTTPException(404)
    content = (files("shenhe.review") / "static" / name).read_bytes()
    headers = {"Cache-Control": "no-cache"}
    return Response(content, media_type=MEDIA_TYPES[name], headers=headers)
