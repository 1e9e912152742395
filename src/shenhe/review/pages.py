"""What is shown and done: the queue, a group, a decision, the audit trail, exports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote, urlencode

from fastapi import HTTPException, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException

from shenhe.config import load_vocabulary
from shenhe.errors import ConflictError, FormatError
from shenhe.formats import summary
from shenhe.review.export import EXPORTS, Prompting, export
from shenhe.review.faults import despite, stated_faults
from shenhe.review.forms import (
    Form,
    filters_of,
    reviewer_name,
    tail_of,
    version_of,
    wants_json,
)
from shenhe.review.index import Filters, Found, Index, QueueEntry, States
from shenhe.review.pictures import tag
from shenhe.review.views import (
    CHOICES,
    FURTHER_FAULTS,
    Draft,
    draft_of,
    photo_views,
    pieces,
    said_of,
)
from shenhe.review.words import LANGUAGES, chosen, words
from shenhe.rows.decision_rows import Decision
from shenhe.templating import environment, fill_sentence
from shenhe.values import PASS

PAGE = 50
TOLD = ("undone", "not_undone", "nothing_to_undo", "end")
"""What a page may be asked to tell by its address."""


@dataclass(frozen=True, slots=True)
class Review:
    """A run that is looked at: its groups and what people decided."""

    run_name: str
    index: Index
    prompting: Prompting


class Pages:
    """Renders the pages."""

    def __init__(self, review: Review, reviewer: str | None) -> None:
        """Show a run; `reviewer` signs for who has not said a name."""
        self._review, self._reviewer = review, reviewer
        self._templates = environment("shenhe.review")
        self._vocabulary = load_vocabulary().faults
        self._run_id = tag(str(review.index.path.resolve()))

    def render(self, request: Request, template: str, status: int = 200, **values: Any) -> Response:
        """Fill a template in, in the reader's language."""
        language = _language(request)
        path, query = request.url.path, request.url.query
        told = request.query_params.get("told", "")
        contents = {"tail": ""} | values
        text = self._templates.get_template(template).render(
            # Not the mapping itself: `w.keys` and `w.clear` are words, not its methods.
            w=SimpleNamespace(**words(language)),
            language=language,
            other=next(name for name in LANGUAGES if name != language),
            run_name=self._review.run_name,
            reviewer=self._name(request),
            run_id=self._run_id,
            # What answers a form about a group is shown at the address of the group.
            here=f"{path}?{query}" if query else path,
            told=told if told in TOLD else "",
            about=request.query_params.get("about", ""),
            **contents,
        )
        return HTMLResponse(text, status)

    def queue(self, request: Request, after: int) -> Response:
        """Show the queue, from after a group on."""
        index, filters = self._review.index, filters_of(request)
        entries, progress = index.page(filters, after, PAGE + 1), index.progress(filters)
        return self.render(
            request,
            "queue.html",
            entries=entries[:PAGE],
            more=entries[PAGE - 1].number if len(entries) > PAGE else None,
            after=after,
            filters=filters,
            tail=tail_of(filters),
            missions=index.missions(),
            states=States,
            progress=progress,
            matching=index.matching(filters, progress),
        )

    def group(
        self,
        request: Request,
        number: int,
        draft: Draft | None = None,
        conflict: bool = False,
        problem: str = "",
        changed: bool = False,
        doubts: Sequence[str] = (),
        status: int = 200,
    ) -> Response:
        """Show a group, with what was being written, and why that was not taken."""
        found = self._group(number)
        index, filters = self._review.index, filters_of(request)
        history = self._review.index.decisions.history(found.entry.key)
        current = history[0] if history else None
        before, following = index.preceding(filters, number), index.following(filters, number)
        unsaved, outdated = draft is not None, None
        if current and current.opinion and not current.stands_on(found.entry.inputs):
            outdated, current = current, None
        draft = draft or draft_of(current)
        photos = photo_views(found, draft)
        return self.render(
            request,
            "group.html",
            status,
            number=number,
            found=found,
            reason=pieces(found.verdict.reason, len(photos)),
            photos=photos,
            current=current,
            outdated=outdated,
            history=history,
            draft=draft,
            unsaved=unsaved,
            conflict=conflict,
            problem=problem,
            changed=changed,
            doubts=doubts,
            despite=self._despite(filters, number, doubts),
            previous=before.number if before else None,
            following=following.number if following else None,
            ahead=self._first_photo(following),
            filters=filters,
            tail=tail_of(filters),
            choices=CHOICES,
            faults=(*self._vocabulary, *FURTHER_FAULTS),
            progress=index.progress(filters),
        )

    def decide(self, request: Request, number: int, form: Form) -> Response:
        """Write a decision, and go on; show the group again where that cannot be."""
        filters, name = filters_of(request), self._name(request)
        if form.get("choice") not in CHOICES:
            raise HTTPException(400)
        if not name:
            return RedirectResponse("/name", 303)
        if not form.get("key"):
            raise HTTPException(400)
        version = version_of(form)
        # By its key: the number may be another group's by now, even one of another run.
        found = self._review.index.group_of(form.get("key", ""))
        if found is None:
            raise HTTPException(409)
        entry = found.entry
        draft = Draft()
        try:
            said = said_of(form, found)
            draft = Draft(said.comment, said.fault, said.lines, said.descs)
            photos_seen = form.get("inputs", entry.inputs or "") == (entry.inputs or "")
            if form.get("seen") != found.verdict.timestamp or not photos_seen:
                return self.group(request, entry.number, draft, changed=True, status=409)
            for key, line in said.lines.items():
                _check_line(key, line)
            faults = stated_faults(said, self._vocabulary) if said.choice == PASS else ()
            if faults and request.query_params.get("despite") != despite(faults):
                return self._ask_back(request, entry.number, draft, faults)
            decision = Decision.on(entry, said, name, version + 1)
            self._review.index.decisions.add(decision)
        except ConflictError:
            return self.group(request, entry.number, draft, conflict=True, status=409)
        except FormatError as error:
            return self.group(
                request, entry.number, draft, problem=_problem(request, error), status=422
            )
        except ValidationError as error:
            raise HTTPException(400) from error
        return _onward(request, self._after(filters, entry.number))

    def undo(self, request: Request) -> Response:
        """Take the reader's last decision back, and show its group."""
        filters, name = filters_of(request), self._name(request)
        try:
            undone = self._review.index.decisions.undo(name) if name else None
        except ConflictError as conflict:
            found = self._review.index.group_of(conflict.key)
            return _undone(filters, "not_undone", found)
        found = self._review.index.group_of(undone.key) if undone else None
        return _undone(filters, "undone" if undone else "nothing_to_undo", found)

    def find(self, key: str) -> Response:
        """Go to a group by its key."""
        found = self._review.index.group_of(key)
        if found is None:
            raise HTTPException(404)
        return RedirectResponse(f"/group/{found.entry.number}", 303)

    def trail(self, request: Request, before: int | None) -> Response:
        """Show who decided what, from before a decision on."""
        decisions = self._review.index.decisions.trail(before, PAGE + 1)
        more = decisions[PAGE - 1].number if len(decisions) > PAGE else None
        return self.render(request, "trail.html", decisions=decisions[:PAGE], more=more)

    def export(self, name: str) -> Response:
        """Make a file."""
        if name not in EXPORTS:
            raise HTTPException(404)
        made = export(name, self._review.index, self._review.prompting)
        disposition = f'attachment; filename="{name}"'
        headers = {"Content-Disposition": disposition}
        return Response(made.content, media_type=EXPORTS[name], headers=headers)

    def refused(self, request: Request, error: Exception) -> Response:
        """Tell of what is not there, or not understood."""
        status = error.status_code if isinstance(error, StarletteHTTPException) else 400
        word = {404: "missing_page", 409: "another_run"}.get(status, "wrong")
        return self.render(request, "message.html", status, word=word, detail="")

    def failed(self, request: Request, error: Exception) -> Response:
        """Tell of a disk that is full, or rows that have gone."""
        return self.render(request, "message.html", 500, word="wrong", detail=str(error))

    def _ask_back(
        self, request: Request, number: int, draft: Draft, faults: Sequence[str]
    ) -> Response:
        """Ask whether a group passes although a fault is named, and store nothing."""
        if not wants_json(request):
            return self.group(request, number, draft, doubts=faults, status=422)
        action = self._despite(filters_of(request), number, faults)
        return JSONResponse({"faults": faults, "despite": action}, 422)

    def _despite(self, filters: Filters, number: int, faults: Sequence[str]) -> str:
        """Give the address at which a group passes in spite of these faults."""
        query = filters.query() | {"despite": despite(faults)}
        return f"/group/{number}?" + urlencode(query)

    def _after(self, filters: Filters, number: int) -> str:
        """Find where a reviewer goes on: the next group that is open, at the end the first one."""
        index = self._review.index
        following = index.following(filters, number, open_only=True)
        if following is None and filters.state in ("", "open"):
            following = index.following(filters, 0, open_only=True)
        if following is None:
            return "/?" + urlencode(filters.query() | {"told": "end"})
        return f"/group/{following.number}{tail_of(filters)}"

    def _first_photo(self, entry: QueueEntry | None) -> str:
        """Name the first photo of the group that is looked at next, which is fetched meanwhile."""
        found = self._review.index.group(entry.number) if entry else None
        return tag(found.images[0]) if found and found.images else ""

    def _group(self, number: int) -> Found:
        found = self._review.index.group(number)
        if found is None:
            raise HTTPException(404)
        return found

    def _name(self, request: Request) -> str:
        cookie = unquote(request.cookies.get("reviewer", ""))
        return reviewer_name(cookie) or self._reviewer or ""


def _check_line(key: str, line: str) -> None:
    try:
        summary.parse(line)
    except FormatError as error:
        raise FormatError(error.code, key) from error


def _problem(request: Request, error: FormatError) -> str:
    """Say in the reader's language why a line of a photo is none."""
    told = words(_language(request))
    sentence = told.get(f"line_{error.code}", told["line_other"])
    return fill_sentence(sentence, photo=str(error), code=error.code)


def _undone(filters: Filters, told: str, found: Found | None) -> Response:
    query = filters.query() | {"told": told}
    if found is None:
        return RedirectResponse("/?" + urlencode(query), 303)
    query["about"] = found.entry.group_id
    return RedirectResponse(f"/group/{found.entry.number}?" + urlencode(query), 303)


def _onward(request: Request, address: str) -> Response:
    if wants_json(request):
        return JSONResponse({"next": address})
    return RedirectResponse(address, 303)


def _language(request: Request) -> str:
    return chosen(request.cookies.get("language"), request.headers.get("accept-language", ""))
