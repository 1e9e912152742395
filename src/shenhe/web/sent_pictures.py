"""Pictures of photos as answers: browsers keep them, and ask each time if they are the same."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from fastapi import Request, Response
from fastapi.responses import PlainTextResponse

from shenhe.errors import PhotoError
from shenhe.web.pictures import PictureSize, picture_etag, render_jpeg, render_thumbnail

PROCESSORS: Final = os.cpu_count() or 1
_THREADS: Final = {
    "thumb": ThreadPoolExecutor(max(1, PROCESSORS // 2), "thumbnails"),
    "photo": ThreadPoolExecutor(max(2, PROCESSORS), "photos"),
}


async def send_picture(request: Request, image: str, size: PictureSize) -> Response:
    """Send a photo as JPEG, without a thread of the pool that other requests wait for.

    Thumbnails come by the hundred: they leave room for the photo that somebody looks at.

    Example:
        await send_picture(request, "/data/img-001.jpeg", "small")

    """
    threads = _THREADS["thumb" if size == "thumb" else "photo"]
    return await asyncio.get_running_loop().run_in_executor(
        threads, show_picture, request, image, size
    )


def show_picture(request: Request, image: str, size: PictureSize) -> Response:
    """Do the same in this thread."""
    # Another photo may come to lie at the same address: browsers check each time.
    etag = f'"{picture_etag(image, size)}"'
    headers = {"Cache-Control": "private, no-cache", "ETag": etag}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    try:
        is_thumb = size == "thumb"
        content = render_thumbnail(image, etag) if is_thumb else render_jpeg(image, size)
    except PhotoError as error:
        return PlainTextResponse(f"{error.code}: {error}\n", 404)
    return Response(content, media_type="image/jpeg", headers=headers)
