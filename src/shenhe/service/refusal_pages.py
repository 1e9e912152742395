"""Refusals as people read them: in the language of the page, with the limits of the service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from fastapi import Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from shenhe.printable import worded
from shenhe.service.limits import Limits
from shenhe.service.pages import is_page, render, words_for
from shenhe.service.refusals import RefusedError
from shenhe.web.words import Words

PREFIX: Final = "refused_"
MEGA: Final = 1_000_000


def fill_refusals(words: Words, limits: Limits) -> Mapping[str, str]:
    """Give the sentences of all refusals, by their codes.

    Example:
        fill_refusals(words_for(request), Limits())["too_many_photos"]

    """
    figures = {
        "photos": f"{limits.photos}",
        "photo_mb": f"{limits.photo_bytes / MEGA:g}",
        "group_mb": f"{limits.group_bytes / MEGA:g}",
        "megapixels": f"{limits.photo_pixels / MEGA:g}",
    }
    return {
        name.removeprefix(PREFIX): sentence.format(**figures)
        for name, sentence in words.items()
        if name.startswith(PREFIX)
    }


def describe_refusal(request: Request, refusal: RefusedError, limits: Limits) -> str:
    """Say in the reader's language why something was not done.

    Example:
        describe_refusal(request, RefusedError(413, "too_many_photos", ""), Limits())

    """
    sentences = fill_refusals(words_for(request), limits)
    return sentences.get(refusal.code, sentences["other"])


def answer_refusal(request: Request, refusal: RefusedError, limits: Limits) -> Response:
    """Answer what is refused: a page to people, who may first sign in, and JSON to programs.

    Example:
        answer_refusal(request, RefusedError(404, "unknown_group", "no such group"), Limits())

    """
    if not is_page(request):
        return JSONResponse(refusal.body, refusal.status, refusal.headers)
    if refusal.status == 401 and request.method == "GET":
        path, query = request.url.path, request.url.query
        wanted = urlencode({"next": f"{path}?{query}" if query else path})
        return RedirectResponse(f"/sign-in?{wanted}", 303)
    sentence = describe_refusal(request, refusal, limits)
    detail = worded(str(refusal))  # it names the thing
    page = render(request, "message.html", refusal.status, sentence=sentence, detail=detail)
    page.headers.update(refusal.headers)
    return page
