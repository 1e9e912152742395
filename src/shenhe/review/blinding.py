"""What a person may not see who may be asked for a second opinion: the decisions of others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import HTTPException, Request

from shenhe.review.index import GroupRows
from shenhe.review.site import Site
from shenhe.review.viewers import account_of, needs_account, viewer_of
from shenhe.rows.decision_rows import DEFERRED, Decision, Opinion


@dataclass(frozen=True, slots=True)
class SeenDecisions:
    """The decisions on a group as a reader may see them, the last one first.

    `version` is that of the last one under its own key, seen or not. `current` is the one that
    holds, `outdated` one on photos that have changed since; `opinion` is what the form begins with.
    `hides` says that an outdated one is not to be told of.
    """

    history: Sequence[Decision]
    version: int
    current: Decision | None
    outdated: Decision | None
    opinion: Opinion | None
    hides: bool


def see_decisions(request: Request, site: Site, group: GroupRows) -> SeenDecisions:
    """Give the decisions on a group, those of others veiled where the reader may be asked second.

    Raises: RunError if the decisions cannot be read.
    """
    (history, last, version), inputs = site.index.history(group.entry), group.entry.inputs
    stands = last is not None and (last.opinion is None or last.stands_on(inputs))
    current, outdated = (last, None) if stands else (None, last)
    seen = _veil(request, site, history, inputs)
    opinion = next((row.opinion for row in seen if current and row.number == current.number), None)
    hides = outdated is not None and outdated not in seen
    return SeenDecisions(seen, version, current, outdated, opinion, hides)


def _veil(
    request: Request, site: Site, history: Sequence[Decision], inputs: str | None
) -> Sequence[Decision]:
    """Leave out what others took back or said of other photos, and why they deferred a group.

    Only of groups on which a second opinion may be asked for, now or once they are decided.
    """
    viewer, queue = viewer_of(request), site.index.second
    if not viewer or queue is None or not history or not queue.plan.draws(history[0].key):
        return history
    undone, seen = {row.undoes for row in history}, []
    for row in history:
        if row.reviewer == viewer:
            seen.append(row)
        elif row.undoes or row.number in undone or row.opinion is None:
            continue
        elif row.stands_on(inputs):
            choice = row.opinion.choice
            opinion = Opinion(choice=choice) if choice == DEFERRED else row.opinion
            seen.append(row.model_copy(update={"opinion": opinion}))
    return seen


def is_veiled(request: Request, site: Site, group: GroupRows) -> bool:
    """Whether the reader must not see what the present decision on a group says."""
    seen = see_decisions(request, site, group)
    opinion = seen.current.opinion if seen.current else None
    return opinion is not None and opinion != seen.opinion


def second_address(request: Request, site: Site, number: int) -> str:
    """Give the address of the page that shows a group without the decision of somebody else.

    Empty where a person may see that decision: a lead, whoever has decided the group too, and where
    it is not among those that are reviewed twice.
    """
    account, queue = account_of(request), site.index.second
    if account is None or account.is_lead or queue is None:
        return ""
    entry = queue.find_number(account.name, number)
    return f"/second/{entry.ticket}" if entry and entry.state != "own" else ""


def require_sight_of_all(request: Request, site: Site) -> None:
    """Refuse whoever may be asked for a second opinion, where any is asked for.

    Raises: HTTPException 403.
    """
    if site.index.second is not None:
        require_sight(request)


def sees_all(request: Request) -> bool:
    """Whether the decisions of all people may be shown: without accounts, and to leads."""
    account = account_of(request)
    return not needs_account(request) or (account is not None and account.is_lead)


def require_sight(request: Request) -> None:
    """Refuse whoever may not see the decisions of all people.

    Raises: HTTPException 403.
    """
    if not sees_all(request):
        raise HTTPException(403)
