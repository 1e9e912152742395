"""Deciding between two opinions: the decision of a lead on a group that two people judged."""

from __future__ import annotations

from fastapi import HTTPException, Request

from shenhe.review.forms import Form
from shenhe.review.identity import require_lead
from shenhe.review.index import TwoOpinions
from shenhe.review.site import Site
from shenhe.review.viewers import account_of
from shenhe.rows.decision_rows import Adjudicated


def find_dispute(request: Request, site: Site, key: str) -> TwoOpinions | None:
    """Find the two opinions that a lead has to decide between; None for nobody else."""
    account, queue = account_of(request), site.index.second
    if account is None or not account.is_lead or queue is None:
        return None
    return next((pair for pair in queue.pairs(key) if pair.is_disputed), None)


def name_dispute(pair: TwoOpinions | None) -> str:
    """Name a dispute as the form of its page does; empty for none."""
    if pair is None or pair.current is None:
        return ""
    return f"{pair.current.number} {pair.second.number}"


def read_adjudication(request: Request, site: Site, form: Form, key: str) -> Adjudicated | None:
    """Read which opinions a form decides between; None where it is an ordinary decision.

    Raises: HTTPException 403 for whoever is no lead; 409 where they are no longer those of the
    page.
    """
    shown = form.get("adjudicates", "")
    if not shown:
        return None
    require_lead(request)
    pair = find_dispute(request, site, key)
    if pair is None or pair.current is None or shown != name_dispute(pair):
        raise HTTPException(409)
    return Adjudicated(
        first=pair.current.number,
        second=pair.second.number,
        reviewers=(pair.current.reviewer, pair.second.reviewer),
    )
