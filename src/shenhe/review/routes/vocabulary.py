"""Whether the vocabulary knows a desc, for the script of a page: before anything is saved."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from shenhe.review.site import CurrentSite
from shenhe.rows.corrected_objects import MAX_DESC

router = APIRouter()


@router.get("/vocabulary")
def check_desc(site: CurrentSite, desc: str) -> Response:
    """Tell whether a desc is known, and which known one was probably meant."""
    desc = " ".join(desc.split())
    is_known = len(desc) <= MAX_DESC and site.vocabulary.knows(desc)
    meant = "" if is_known else site.vocabulary.suggest(desc)
    return JSONResponse({"known": is_known, "meant": meant})
