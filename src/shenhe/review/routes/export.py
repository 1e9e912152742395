"""Exports: files that are made when they are asked for; `sheets` lists them."""

from __future__ import annotations

from fastapi import APIRouter, Depends, HTTPException, Request, Response

from shenhe.review.blinding import require_sight
from shenhe.review.export import EXPORTS, make_export
from shenhe.review.site import CurrentSite


async def _sight(request: Request) -> None:
    require_sight(request)


router = APIRouter(prefix="/export", dependencies=[Depends(_sight)])


@router.get("/{name}")
def download_export(site: CurrentSite, name: str) -> Response:
    """Make a file and send it."""
    if name not in EXPORTS:
        raise HTTPException(404)
    export = make_export(name, site.index, site.prompting)
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(export.content, media_type=EXPORTS[name], headers=headers)
