"""Photos as JPEG, plain or with their captions drawn."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import PlainTextResponse

from shenhe.errors import PhotoError
from shenhe.review.forms import PathNumber
from shenhe.review.pictures import PictureSize, photo_tag, picture_etag, render_jpeg
from shenhe.review.site import CurrentSite, Site

router = APIRouter()


@router.get("/photo/{number}/{position}/{size}.jpg")
def show_photo(
    request: Request, site: CurrentSite, number: PathNumber, position: PathNumber, size: PictureSize
) -> Response:
    """Show a photo of a group by its position, from 1 on."""
    return _show_picture(request, site, number, position, size, drawn=False)


@router.get("/overlay/{number}/{position}/{size}.jpg")
def show_overlay(
    request: Request, site: CurrentSite, number: PathNumber, position: PathNumber, size: PictureSize
) -> Response:
    """Show a photo of a group with its caption drawn."""
    return _show_picture(request, site, number, position, size, drawn=True)


def _show_picture(
    request: Request, site: Site, number: int, position: int, size: PictureSize, *, drawn: bool
) -> Response:
    group = site.index.group(number)
    if group is None or not 1 <= position <= len(group.images):
        raise HTTPException(404)
    image = group.images[position - 1]
    if request.query_params.get("of", photo_tag(image)) != photo_tag(image):
        raise HTTPException(404)
    caption = group.captions.get(image) if drawn else None
    if drawn and caption is None:
        raise HTTPException(404)
    # Another run, or another order, may put another photo at the same address: browsers keep
    # photos, and check each time that they are unchanged.
    etag = f'"{picture_etag(image, size, caption)}"'
    headers = {"Cache-Control": "private, no-cache", "ETag": etag}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    try:
        content = render_jpeg(image, size, caption)
    except PhotoError as error:
        return PlainTextResponse(f"{error.code}: {error}\n", 404)
    return Response(content, media_type="image/jpeg", headers=headers)
