"""What all routes share: the run under review, the reader's name and language, the templates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Annotated
from urllib.parse import unquote

from fastapi import Depends, Request, Response
from fastapi.responses import HTMLResponse

from shenhe.languages import LANGUAGES
from shenhe.review.access import Access
from shenhe.review.export import Prompting
from shenhe.review.identity import Identity
from shenhe.review.index import Comparison, Index
from shenhe.review.reasons import Reasons
from shenhe.review.rules import describe_rule, read_guidance
from shenhe.review.viewers import account_of, needs_account
from shenhe.review.words import PACKAGE, load_words
from shenhe.rows.problem_words import words_of_kind
from shenhe.rows.reason_parts import split_code
from shenhe.rows.words import words_of
from shenhe.team import SecondOpinions, clean_name
from shenhe.templating import environment
from shenhe.web.pictures import MAX_SIDES, photo_tag
from shenhe.web.preferences import THEMES, read_language, read_theme
from shenhe.web.static_files import SHARED, list_modules, tag_files

NOTICES = (
    *("undone", "not_undone", "nothing_to_undo", "end", "end_held", "bulk_none", "bulk_decided"),
    *("blind_decided", "blind_seen", "blind_end", "password_changed", "team_changed"),
    *("second_closed", "second_end", "adjudicated", "assigned"),
)
"""Words that a page shows where `told` in its address names them."""
LAST_OWN = 10
"""How many of the reader's last decisions a page lists."""


@dataclass(frozen=True, slots=True)
class OtherRun:
    """A run that the one under review is compared with.

    Example:
        before = Index(Path("before"))
        other = OtherRun("before", before, index.beside(before))

    """

    name: str
    index: Index
    comparison: Comparison


@dataclass(frozen=True, slots=True)
class Review:
    """A run under review: the index of its groups with the decisions, and its prompts.

    `run_name` is shown on all pages; `other` is a run that its pages compare with.

        prompting = Prompting(load_missions(), load_prompts())
        review = Review("out", Index(Path("out")), prompting)
    """

    run_name: str
    index: Index
    prompting: Prompting
    other: OtherRun | None = None


class Site:
    """A review with everything that its routes need to answer."""

    def __init__(
        self,
        review: Review,
        access: Access,
        reviewer: str | None,
        identity: Identity,
    ) -> None:
        """Serve a review; `reviewer` signs for people who have not given a name."""
        self.index, self.prompting = review.index, review.prompting
        self.access, self.identity, self.other = access, identity, review.other
        self.opinions = SecondOpinions(review.index.database)
        if plan := self.opinions.plan():
            review.index.review_twice(plan, self.opinions)
        self.vocabulary = review.prompting.words_of_descs
        self.polygons = review.prompting.formats.caption.polygons
        missions, words = review.prompting.missions, review.prompting.fault_words
        self.reasons = Reasons(missions, review.index.decisions, words)
        self._run_name, self._default_reviewer = review.run_name, reviewer
        self._run_id = photo_tag(str(review.index.path.resolve()))
        self._templates = environment(PACKAGE, SHARED)
        self._templates.globals |= {
            "split_code": split_code,
            "words_of": words_of,
            "words_of_kind": words_of_kind,
            "static_tag": tag_files(PACKAGE),
            "modules": list_modules(PACKAGE, "app.js"),
            "largest": MAX_SIDES["large"],
            "rule_of": lambda mission: describe_rule(review.prompting.missions.find(mission)),
            "guidance_of": partial(read_guidance, review.index.run_dir),
            "last_of": lambda reviewer: self.index.decisions.last_of(reviewer, LAST_OWN),
        }
        self._templates.policies["json.dumps_kwargs"] = {"ensure_ascii": False}

    def render(
        self, request: Request, template: str, status: int = 200, **values: object
    ) -> Response:
        """Render a template in the reader's language."""
        language, account = read_language(request), account_of(request)
        path, query = request.url.path, request.url.query
        notice = request.query_params.get("told", "")
        if "reviewer" not in values:
            values["reviewer"] = self.reviewer(request)
        text = self._templates.get_template(template).render(
            # Not the mapping itself: `w.keys` and `w.clear` are words here, not its methods.
            w=SimpleNamespace(**load_words(language)),
            language=language,
            themes=THEMES,
            theme=read_theme(request),
            other_language=next(name for name in LANGUAGES if name != language),
            run_name=self._run_name,
            account=account,
            signed_out=needs_account(request) and account is None,
            # Drafts are kept under it: whoever signs in at the same browser gets none of another.
            run_id=photo_tag(f"{self._run_id} {account.key}") if account else self._run_id,
            other_name=self.other.name if self.other else "",
            # The answer to a form about a group is shown at the address of that group.
            address=f"{path}?{query}" if query else path,
            notice=notice if notice in NOTICES else "",
            about=request.query_params.get("about", ""),
            **{"tail": "", "section": "", **values},
        )
        return HTMLResponse(text, status)

    def reviewer(self, request: Request) -> str:
        """Give the name that signs the decisions of a browser; empty where there is none.

        Once there are accounts, only the one that has signed in signs.
        """
        if needs_account(request):
            account = account_of(request)
            return account.name if account else ""
        cookie = unquote(request.cookies.get("reviewer", ""))
        return clean_name(cookie) or self._default_reviewer or ""


def site_of(request: Request) -> Site:
    """Give the site of the application that answers a request."""
    site: Site = request.app.state.site
    return site


async def _current_site(request: Request) -> Site:
    """Do the same as a dependency; one that is not async would take a thread of the pool."""
    return site_of(request)


CurrentSite = Annotated[Site, Depends(_current_site)]
