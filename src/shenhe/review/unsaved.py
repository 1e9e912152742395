"""Decisions that are not stored: why, and how the page asks back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from fastapi import Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from shenhe.config import Vocabulary
from shenhe.review.corrections import (
    CorrectionError,
    UnknownDesc,
    keep_unknown,
    list_unknown,
    unknown_digest,
)
from shenhe.review.faults import faults_digest, find_faults
from shenhe.review.forms import wants_json
from shenhe.review.views import Draft
from shenhe.review.words import Words
from shenhe.rows.decision_rows import Opinion
from shenhe.templating import fill_sentence
from shenhe.values import PASS


@dataclass(frozen=True, slots=True)
class UnsavedDecision:
    """A decision that was not stored, and why: its group is shown again with what was typed."""

    draft: Draft
    status: int
    conflict: bool = False
    """Somebody else has decided since."""
    changed: bool = False
    """The photos or the verdict have changed since."""
    problem: str = ""
    """An invalid line or caption, in the reader's language."""
    faults: Sequence[str] = ()
    """Faults in spite of which the group would pass."""
    unknown: Sequence[UnknownDesc] = ()
    """Descs of corrected captions that the vocabulary does not know."""
    choice: str = ""
    """What was decided while there were such descs."""


def describe_correction(error: CorrectionError, words: Words) -> str:
    """Describe a corrected caption that is none, in the reader's language."""
    sentence = words.get(f"shapes_{error.code}", words["shapes_other"])
    return fill_sentence(sentence, photo=error.photo, number=error.thing)


def find_doubt(
    request: Request, opinion: Opinion, vocabulary: Sequence[str]
) -> UnsavedDecision | None:
    """Hold back a 通过 in spite of faults that the address of the request does not confirm."""
    faults = find_faults(opinion, vocabulary) if opinion.choice == PASS else ()
    if faults and request.query_params.get("despite") != faults_digest(faults):
        return UnsavedDecision(Draft.of(opinion), 422, faults=faults)
    return None


def confirm_descs(
    request: Request, opinion: Opinion, vocabulary: Vocabulary
) -> tuple[Opinion, UnsavedDecision | None]:
    """Hold a decision back until each desc of it is known, or confirmed one by one or at once.

    The address of the request confirms all of them at once.
    """
    unknown = list_unknown(opinion.shapes, vocabulary)
    if not unknown:
        return opinion, None
    if request.query_params.get("keep") == unknown_digest(unknown):
        return keep_unknown(opinion, unknown), None
    draft = Draft.of(opinion)
    return opinion, UnsavedDecision(draft, 422, unknown=unknown, choice=opinion.choice)


def keeping_query(query: dict[str, str], unknown: Sequence[UnknownDesc]) -> str:
    """Write the query of an address that confirms descs."""
    return "?" + urlencode(query | {"keep": unknown_digest(unknown)})


def kept_query(request: Request) -> dict[str, str]:
    """Give the part of a query that confirmed descs, for the next address of the same form."""
    keep = request.query_params.get("keep")
    return {"keep": keep} if keep else {}


def ask_back(unsaved: UnsavedDecision, address: str) -> Response:
    """Give the faults to the page's script, and the address at which the group passes."""
    return JSONResponse({"faults": unsaved.faults, "despite": address}, unsaved.status)


def confirming_query(query: dict[str, str], faults: Sequence[str]) -> str:
    """Write the query of an address at which a group passes in spite of faults."""
    return "?" + urlencode(query | {"despite": faults_digest(faults)})


def send_on(request: Request, address: str) -> Response:
    """Send the reader to an address, through the page's script or by a redirect."""
    if wants_json(request):
        return JSONResponse({"next": address})
    return RedirectResponse(address, 303)
