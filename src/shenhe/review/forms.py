"""What browsers send: addresses, numbers and forms, all validated before anything is done."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Depends, HTTPException, Path, Query, Request

from shenhe.review.index import ALL, QUEUES, SORTS, STATES, VERDICTS, Filters
from shenhe.review.viewers import scope_of_reader, viewer_of
from shenhe.web import forms

Form = forms.Form
MAX_BODY = 4_000_000
"""Maximum size of a form of comments, lines and corrected captions. Units: bytes."""
SHAPES = "shapes"
"""The field of corrected captions, which is longer: `corrections.read_corrections` limits it."""
MAX_SEARCH = 1000
MAX_INTEGER = 2**63 - 1
"""Largest integer that SQLite stores."""
PathNumber = Annotated[int, Path(ge=-MAX_INTEGER, le=MAX_INTEGER)]
QueryNumber = Annotated[int, Query(ge=-MAX_INTEGER, le=MAX_INTEGER)]
_NUMBER = re.compile(r"[0-9]{1,18}")


async def read_form(request: Request) -> Form:
    """Read a form in which no field is repeated.

    Raises: HTTPException 413 for a body over MAX_BODY; 400 for what no page sends.
    """
    form = await forms.read_form(request, MAX_BODY, (SHAPES,))
    request.state.form = form  # a page that tells of a failure shows what was typed
    return form


SentForm = Annotated[Form, Depends(read_form)]


def read_version(form: Form) -> int:
    """Give the version of a group that the page showed.

    Raises: HTTPException 400 for anything but such a number.
    """
    return _read_number(form.get("version", ""))


def read_decision_number(form: Form) -> int | None:
    """Give the number of the decision to take back; None for the reader's last one.

    Raises: HTTPException 400 for anything but a number.
    """
    return _read_number(form["number"]) if "number" in form else None


def _read_number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise HTTPException(400)
    return int(text)


def read_faults(form: Form) -> list[str]:
    """List the reasons that were chosen, in the order of the form; earlier pages send one `fault`.

    >>> read_faults({"comment": "", "fault-生锈": "1", "fault-露铜": "1"})
    ['生锈', '露铜']
    """
    prefix = "fault-"
    chosen = [name.removeprefix(prefix) for name in form if name.startswith(prefix) and form[name]]
    return [fault for fault in (*chosen, form.get("fault", "").strip()) if fault]


def read_filters(request: Request) -> Filters:
    """Read the filters of an address.

    Raises: HTTPException 400 for an unknown verdict, state, queue or order; a text over MAX_SEARCH.
    """
    query = request.query_params
    filters = Filters(
        query.get("mission", ""),
        query.get("verdict", ""),
        query.get("state", ""),
        bool(query.get("against")),
        " ".join(query.get("text", "").split()),
        query.get("queue", ""),
        bool(query.get("marked")),
        query.get("sort", ""),
        viewer_of(request),
        query.get("mine", ""),
        None if query.get("mine") else scope_of_reader(request),
    )
    is_valid = filters.verdict in ("", *VERDICTS) and filters.state in ("", ALL, *STATES)
    is_valid &= filters.sort.removeprefix("-") in SORTS or not filters.sort
    is_valid &= filters.mine in ("", ALL)
    if not is_valid or filters.queue not in QUEUES or len(filters.text) > MAX_SEARCH:
        raise HTTPException(400)
    return filters


def query_suffix(filters: Filters) -> str:
    """Write filters as the end of an address, with its question mark; empty without filters."""
    query = urlencode(filters.to_query())
    return f"?{query}" if query else ""


def wants_json(request: Request) -> bool:
    """Whether the page's script sends the request, and not the browser by itself."""
    return "application/json" in request.headers.get("accept", "")
