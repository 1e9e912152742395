"""Exports: files that are made when they are asked for; `sheets` lists them."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Response

from shenhe.review.export import EXPORTS, make_export
from shenhe.review.site import CurrentSite

router = APIRouter(prefix="/export")


@router.get("/{name}")
def download_export(site: CurrentSite, name: str) -> Response:
    """Make a file and send it."""
    if name not in EXPORTS:
        raise HTTPException(404)
    export = make_export(name, site.index, site.prompting)
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(export.content, media_type=EXPORTS[name], headers=headers)
