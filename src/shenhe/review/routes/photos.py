"""Photos as JPEG."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request, Response
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

router = APIRouter()


@router.get("/photo/{number}/{position}/{size}.jpg")
def show_photo(
    request: Request, site: CurrentSite, number: PathNumber, position: PathNumber, size: PictureSize
) -> Response:
    """Show a photo of a group by its position, from 1 on."""
    return show_picture(request, site.index.group(number), position, size)


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
