"""Photos as JPEG."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import PlainTextResponse

from shenhe.errors import PhotoError
from shenhe.review.forms import PathNumber
from shenhe.review.index import GroupRows
from shenhe.review.pictures import (
    PictureSize,
    photo_tag,
    picture_etag,
    render_jpeg,
    render_thumbnail,
)
from shenhe.review.site import CurrentSite

PROCESSORS = os.cpu_count() or 1
_THREADS = {
    "thumb": ThreadPoolExecutor(max(1, PROCESSORS // 2), "thumbnails"),
    "photo": ThreadPoolExecutor(max(2, PROCESSORS), "photos"),
}
router = APIRouter()


def _group(site: CurrentSite, number: PathNumber) -> GroupRows | None:
    return site.index.group(number)


Shown = Annotated[GroupRows | None, Depends(_group)]


@router.get("/photo/{number}/{position}/{size}.jpg")
async def show_photo(
    request: Request, group: Shown, position: PathNumber, size: PictureSize
) -> Response:
    """Show a photo of a group by its position, from 1 on."""
    return await send_picture(request, group, position, size)


async def send_picture(
    request: Request, group: GroupRows | None, position: int, size: PictureSize
) -> Response:
    """Do the same as `show_picture`, without a thread of the pool that decisions wait for.

    Thumbnails come by the hundred: they leave room for the photo that somebody looks at.
    """
    threads = _THREADS["thumb" if size == "thumb" else "photo"]
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(threads, show_picture, request, group, position, size)


def show_picture(
    request: Request, group: GroupRows | None, position: int, size: PictureSize
) -> Response:
    """Send a photo of a group.

    Raises: HTTPException 404 for no such photo.
    """
    if group is None or not 1 <= position <= len(group.images):
        raise HTTPException(404)
    image = group.images[position - 1]
    if request.query_params.get("of", photo_tag(image)) != photo_tag(image):
        raise HTTPException(404)
    # Another run, or another order, may put another photo at the same address: browsers keep
    # photos, and check each time that they are unchanged.
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
