"""What others have decided since a page was made: open pages ask for it every few seconds."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from shenhe.review.forms import QueryNumber, read_filters
from shenhe.review.index import LABELS, Filters
from shenhe.review.index.changes import Change
from shenhe.review.site import CurrentSite
from shenhe.review.words import Words, load_words
from shenhe.web.preferences import read_language

router = APIRouter()


@router.get("/changes")
def list_changes(request: Request, site: CurrentSite, after: QueryNumber) -> Response:
    """List the groups that were decided after a decision, and how far their queue is now.

    Pages that show nothing that others said, as those of the blind audit, never ask.
    """
    index, filters = site.index, read_filters(request)
    number = index.last_decision()
    if number == after:
        return JSONResponse({"number": number})
    words = load_words(read_language(request))
    sentence = words["labels_progress" if filters.queue == LABELS else "progress"]
    progress = [
        index.progress(each)
        for each in (Filters(queue=filters.queue, viewer=filters.viewer), filters)
    ]
    return JSONResponse(
        {
            "number": number,
            "progress": [
                {"decided": p.decided, "groups": p.groups, "told": sentence.format(**p._asdict())}
                for p in progress
            ],
            "changes": [
                _describe(change, words) for change in index.changes(after, filters.viewer)
            ],
        }
    )


def _describe(change: Change, words: Words) -> dict[str, object]:
    # Isolated as <bdi> does it: the script shows it as text.
    reviewer, holder = (f"\u2068{name}\u2069" for name in (change.reviewer, change.holder))
    again = "just_holds_again" if change.holder else "just_decided"
    sentence = words[again if change.choice else "just_taken_back"]
    return {
        "group": change.number,
        "decision": change.decision,
        "choice": change.choice or "",
        "overrules": change.overrules,
        "told": sentence.format(reviewer=reviewer, holder=holder, choice=change.choice),
    }
