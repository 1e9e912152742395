"""Acceptance sheets and the report's page, made anew of the present decisions when asked for."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Final, Literal, NamedTuple, get_args

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask
from starlette.datastructures import QueryParams

from shenhe.errors import RunError
from shenhe.languages import LANGUAGES, Language
from shenhe.options import MAX_COUNT
from shenhe.report import write_report
from shenhe.report.choice import SheetChoice
from shenhe.report.sheet.words import sheet_words
from shenhe.report.sheet.write import MAX_GROUPS, SheetForm, SheetRequest, write_sheet
from shenhe.review.blinding import require_sight
from shenhe.review.export import EXPORTS
from shenhe.review.site import CurrentSite, Site
from shenhe.web.preferences import read_language

Form = Literal[SheetForm, "html"]
FORMS: Final[tuple[Form, ...]] = get_args(Form)
WAIT_SECONDS: Final = 20.0
"""How long a sheet waits for another one under way: each may take a lot of memory."""
_turn = Lock()


async def _sight(request: Request) -> None:
    """Refuse whoever may not see the decisions of all people."""
    require_sight(request)


router = APIRouter(dependencies=[Depends(_sight)])


class SheetOrder(NamedTuple):
    """A sheet as a browser asks for it; `groups` are ids with blanks between, `field` is a pair."""

    form: Form
    language: Language
    mission: str = ""
    groups: str = ""
    field: str = ""
    max_groups: int = MAX_GROUPS

    def choice(self) -> SheetChoice:
        """Give the choice of groups.

        Raises: RunError for a field without `=`.
        """
        name, sign, value = self.field.partition("=")
        if self.field and not (sign and name.strip()):
            raise RunError(f"{self.field}: 区域=东")
        missions = (self.mission,) if self.mission else ()
        fields = ((name.strip(), value),) if sign else ()
        return SheetChoice(missions, tuple(self.groups.split()), fields)


@router.get("/export")
def list_exports(request: Request, site: CurrentSite) -> Response:
    """Show the list of files, and the form of a sheet."""
    return show_exports(request, site)


@router.get("/sheets")
def download_sheet(request: Request, site: CurrentSite) -> Response:
    """Make a sheet and send it, or say what cannot be."""
    order = read_order(request.query_params)
    with ExitStack() as cleanup:
        folder = Path(tempfile.mkdtemp(prefix="sheet"))
        cleanup.callback(shutil.rmtree, folder)
        path = folder / f"sheet.{order.form}"
        try:
            with _taking_turns():
                _write(site, order, path)
        except TimeoutError:
            return show_exports(request, site, 503, order)
        except RunError as error:
            return show_exports(request, site, 400, order, str(error))
        cleanup.pop_all()  # the answer cleans up when it was sent
    title = sheet_words(order.language)["page_title" if order.form == "html" else "title"]
    name = f"{title}-{site.index.run_dir.resolve().name}-{datetime.now(UTC):%Y%m%d}.{order.form}"
    return FileResponse(
        path,
        filename=name,
        background=BackgroundTask(shutil.rmtree, folder),
        headers={"Cache-Control": "no-store"},
    )


def show_exports(
    request: Request,
    site: Site,
    status: int = 200,
    order: SheetOrder | None = None,
    problem: str = "",
) -> Response:
    """Show the list of files and the form of a sheet, with what was asked for and why not."""
    language = read_language(request)
    return site.render(
        request,
        "export.html",
        status,
        section="export",
        exports=list(EXPORTS),
        order=order or SheetOrder("pdf", language),
        forms=FORMS,
        languages=LANGUAGES,
        missions=site.index.missions(),
        problem=problem,
        is_busy=status == 503,
        outdated=_is_outdated(site),
    )


def read_order(query: QueryParams) -> SheetOrder:
    """Read what a browser asks for.

    Raises: HTTPException 400 for another form, language or number.
    """
    form, language = query.get("format", "pdf"), query.get("lang", "zh")
    count = query.get("max_groups", str(MAX_GROUPS))
    if form not in FORMS or language not in LANGUAGES:
        raise HTTPException(400)
    if not (count.isascii() and count.isdigit() and len(count) < 11):
        raise HTTPException(400)
    if not 1 <= int(count) <= MAX_COUNT:
        raise HTTPException(400)
    mission, groups, field = (query.get(name, "").strip() for name in ("mission", "group", "where"))
    return SheetOrder(form, language, mission, groups, field, int(count))


def _write(site: Site, order: SheetOrder, path: Path) -> None:
    """Write a sheet of the present decisions.

    Raises: RunError if no group is chosen, or rows or decisions cannot be read.
    """
    choice, run_dir = order.choice(), site.index.run_dir
    decisions = site.index.current_decisions()
    if order.form == "html":
        write_report(run_dir, order.max_groups, order.language, choice, path, decisions)
        return
    write_sheet(
        SheetRequest(
            run_dir, order.form, order.language, choice, None, order.max_groups, decisions
        ),
        path,
    )


def _is_outdated(site: Site) -> bool:
    """Whether somebody has decided since the page of the run's folder was written."""
    page = site.index.run_dir / "report" / "index.html"
    last = site.index.decisions.trail(None, 1)
    try:
        return bool(last) and datetime.fromisoformat(last[0].at).timestamp() > page.stat().st_mtime
    except (OSError, ValueError):
        return False


@contextmanager
def _taking_turns() -> Iterator[None]:
    """Wait for the sheet under way.

    Raises: TimeoutError where it takes long.
    """
    if not _turn.acquire(timeout=WAIT_SECONDS):
        raise TimeoutError
    try:
        yield
    finally:
        _turn.release()
