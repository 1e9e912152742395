"""Photos as JPEG."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request, Response

from shenhe.review.forms import PathNumber
from shenhe.review.index import GroupRows
from shenhe.review.site import CurrentSite
from shenhe.web import sent_pictures
from shenhe.web.pictures import PictureSize, photo_tag

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
    """Send a photo of a group.

    Raises: HTTPException 404 for no such photo.
    """
    image = find_photo(request, group, position)
    return await sent_pictures.send_picture(request, image, size)


def find_photo(request: Request, group: GroupRows | None, position: int) -> str:
    """Find a photo of a group.

    Raises: HTTPException 404 for no such photo, or where another one has come to its place.
    """
    if group is None or not 1 <= position <= len(group.images):
        raise HTTPException(404)
    image = group.images[position - 1]
    if request.query_params.get("of", photo_tag(image)) != photo_tag(image):
        raise HTTPException(404)
    return image
