"""What is shown and done: the queue, a group, a decision, the audit trail, exports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlencode

from fastapi import HTTPException, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import ValidationError

from shenhe.config import load_vocabulary
from shenhe.errors import ConflictError, FormatError
from shenhe.formats import summary
from shenhe.review.export import EXPORTS, Prompting, export
from shenhe.review.index import Entry, Filters, Found, Index, States
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
from shenhe.runs.decisions import Decision

PAGE = 50
TOLD = ("undone", "not_undone", "nothing_to_undo", "end")
"""What a page may be asked to tell by its address."""
Form = Mapping[str, str]


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
        self._templates = Environment(
            loader=PackageLoader("shenhe.review", "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._faults = (*load_vocabulary().faults, *FURTHER_FAULTS)
        self._templates.filters["urlencode_map"] = urlencode

    def render(self, request: Request, template: str, status: int = 200, **values: Any) -> Response:
        """Fill a template in, in the reader's language."""
        language = _language(request)
        path = request.url.path
        here = f"{path}?{request.url.query}" if request.url.query else path
        told = request.query_params.get("told", "")
        text = self._templates.get_template(template).render(
            w=words(language),
            language=language,
            other=next(name for name in LANGUAGES if name != language),
            run_name=self._review.run_name,
            reviewer=self._name(request),
            here=here if request.method == "GET" else "/",
            told=told if told in TOLD else "",
            about=request.query_params.get("about", ""),
            **values,
        )
        return HTMLResponse(text, status)

    def queue(self, request: Request, after: int) -> Response:
        """Show the queue, from after a group on."""
        index, filters = self._review.index, _filters(request)
        entries, progress = index.page(filters, after, PAGE + 1), index.progress(filters)
        return self.render(
            request,
            "queue.html",
            entries=entries[:PAGE],
            more=entries[PAGE - 1].number if len(entries) > PAGE else None,
            after=after,
            filters=filters,
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
        status: int = 200,
    ) -> Response:
        """Show a group, with what was being written, and why that was not taken."""
        found = self._group(number)
        index, filters = self._review.index, _filters(request)
        history = self._review.index.decisions.history(found.entry.key)
        current = history[0] if history else None
        before, following = index.preceding(filters, number), index.following(filters, number)
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
            history=history,
            draft=draft,
            conflict=conflict,
            problem=problem,
            changed=changed,
            previous=before.number if before else None,
            following=following.number if following else None,
            ahead=self._first_photo(following),
            filters=filters,
            choices=CHOICES,
            faults=self._faults,
            progress=index.progress(filters),
        )

    def decide(self, request: Request, number: int, form: Form) -> Response:
        """Write a decision, and go on; show the group again where that cannot be."""
        name = self._name(request)
        if not name:
            return RedirectResponse("/name", 303)
        # By its key: the number may be another group's by now, even one of another run.
        found = self._review.index.group_of(form.get("key", ""))
        if found is None:
            raise HTTPException(409)
        entry = found.entry
        draft = Draft()
        try:
            version = int(form.get("version", ""))
            said = said_of(form, found)
            draft = Draft(said.comment, said.fault, said.lines, said.descs)
            if form.get("seen") != found.verdict.timestamp:
                return self.group(request, entry.number, draft, changed=True, status=409)
            for key, line in said.lines.items():
                _check_line(key, line)
            decision = Decision.on(entry, said, name, version + 1)
            self._review.index.decisions.add(decision)
        except ConflictError:
            return self.group(request, entry.number, draft, conflict=True, status=409)
        except FormatError as error:
            return self.group(request, entry.number, draft, problem=str(error), status=422)
        except (ValueError, ValidationError) as error:
            raise HTTPException(422) from error
        return _onward(request, self._after(request, entry.number))

    def undo(self, request: Request) -> Response:
        """Take the reader's last decision back, and show its group."""
        name = self._name(request)
        try:
            undone = self._review.index.decisions.undo(name) if name else None
        except ConflictError as conflict:
            return self._undone("not_undone", self._review.index.group_of(conflict.key))
        found = self._review.index.group_of(undone.key) if undone else None
        return self._undone("undone" if undone else "nothing_to_undo", found)

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
        status = error.status_code if isinstance(error, HTTPException) else 404
        word = {404: "missing_page", 409: "another_run"}.get(status, "wrong")
        return self.render(request, "message.html", status, word=word, detail="")

    def failed(self, request: Request, error: Exception) -> Response:
        """Tell of a disk that is full, or rows that have gone."""
        return self.render(request, "message.html", 500, word="wrong", detail=str(error))

    def _undone(self, told: str, found: Found | None) -> Response:
        if found is None:
            return RedirectResponse(f"/?told={told}", 303)
        query = urlencode({"told": told, "about": found.entry.group_id})
        return RedirectResponse(f"/group/{found.entry.number}?{query}", 303)

    def _after(self, request: Request, number: int) -> str:
        """Find where a reviewer goes on: the next group that is open, at the end the first one."""
        index, filters = self._review.index, _filters(request)
        following = index.following(filters, number, open_only=True)
        if following is None and filters.state in ("", "open"):
            following = index.following(filters, 0, open_only=True)
        query = urlencode(filters.query())
        if following is None:
            return "/?" + urlencode(filters.query() | {"told": "end"})
        return f"/group/{following.number}" + (f"?{query}" if query else "")

    def _first_photo(self, entry: Entry | None) -> str:
        """Name the first photo of the group that is looked at next, which is fetched meanwhile."""
        found = self._review.index.group(entry.number) if entry else None
        return tag(found.images[0]) if found and found.images else ""

    def _group(self, number: int) -> Found:
        found = self._review.index.group(number)
        if found is None:
            raise HTTPException(404)
        return found

    def _name(self, request: Request) -> str:
        return unquote(request.cookies.get("reviewer", "")) or self._reviewer or ""


def _check_line(key: str, line: str) -> None:
    try:
        summary.parse(line)
    except FormatError as error:
        raise FormatError(error.code, f"{key}: {error}") from error


def _onward(request: Request, address: str) -> Response:
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse({"next": address})
    return RedirectResponse(address, 303)


def _filters(request: Request) -> Filters:
    told = request.query_params
    return Filters(
        told.get("mission", ""),
        told.get("verdict", ""),
        told.get("state", ""),
        bool(told.get("against")),
        " ".join(told.get("text", "").split()),
    )


def _language(request: Request) -> str:
    return chosen(request.cookies.get("language"), request.headers.get("accept-language", ""))
