"""A page of the queue: its entries with why each is there, and what is before and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from markupsafe import Markup

from shenhe.review.index import LABELS, Filters, Index, QueueEntry
from shenhe.review.words import load_words
from shenhe.rows.words import words_of
from shenhe.templating import fill_sentence
from shenhe.values import EXPECTED, PASS

PAGE_SIZE = 50
NEAR = 0.15
"""How far from an even chance a probability may be for a group to be there as an unsure one."""


@dataclass(frozen=True, slots=True)
class ListedPage:
    """A page of a queue."""

    filters: Filters
    entries: list[QueueEntry]
    has_previous: bool
    has_next: bool

    @property
    def previous_address(self) -> str:
        """Address of the page before; empty where there is none."""
        return self._address("before", self.entries[0]) if self.has_previous else ""

    @property
    def next_address(self) -> str:
        """Address of the page after; empty where there is none."""
        return self._address("after", self.entries[-1]) if self.has_next else ""

    def _address(self, side: str, entry: QueueEntry) -> str:
        place = {side: str(entry.number)}
        if self.filters.sort.removeprefix("-") == "decided":
            place["at"] = str(entry.decision)
        return "/?" + urlencode(self.filters.to_query() | place)


def read_page(index: Index, filters: Filters, after: int, before: int, at: int) -> ListedPage:
    """Read the page after a group, or before one; `at` is the decision that it had then.

    `filters` are those of the address: without a state they list what is open.
    """
    shown, count = filters.of_list, PAGE_SIZE + 1
    if before:
        entries = index.page(shown, before, count, decision=at, backwards=True)
        if len(entries) == count:
            return ListedPage(filters, entries[1:], has_previous=True, has_next=True)
        after = at = 0  # it is the first page, and is whole
    entries = index.page(shown, after, count, decision=at)
    has_previous = bool(after and entries)
    return ListedPage(filters, entries[:PAGE_SIZE], has_previous, len(entries) == count)


def explain_entry(entry: QueueEntry, filters: Filters, language: str) -> list[Markup]:
    """Say why a group is in a queue, the decisive reason first, in the reader's language."""
    words = load_words(language)

    def say(word: str, **values: str) -> Markup:
        return fill_sentence(words[word], **values)

    chance = "" if entry.p_pass is None else f"{entry.p_pass:.2f}"
    if filters.queue == LABELS:
        return [
            say("why_label"),
            say("why_chance", chance=chance) if chance else say("why_unknown"),
        ]
    reasons = []
    if entry.verdict is None:
        reasons.append(say("why_undecided", codes=_name_codes(entry, language)))
    elif entry.label and EXPECTED[entry.label] != entry.verdict:
        reasons.append(say("why_against", ruling=EXPECTED[entry.label]))
    if entry.p_pass is None:
        reasons.append(say("why_unknown"))
    elif abs(entry.p_pass - 0.5) < NEAR:
        reasons.append(say("why_near", chance=chance))
    elif (entry.p_pass > 0.5) is (entry.verdict == PASS):
        reasons.append(
            say("why_chance", chance=chance) if reasons else say("why_sure", chance=chance)
        )
    else:
        reasons.append(say("why_chance", chance=chance))
    if entry.drawn:
        reasons.append(say("why_drawn"))
    if entry.marked:
        reasons.append(say("why_marked"))
    return reasons


def _name_codes(entry: QueueEntry, language: str) -> str:
    codes = dict.fromkeys(getattr(words_of(code), language) for code in entry.why or ("",))
    return ("、" if language == "zh" else ", ").join(codes)


def sort_links(filters: Filters) -> Mapping[str, tuple[str, str]]:
    """Give the address and the direction of each order: up, down, or empty for another one.

    A second click on an order turns it round; the queue's own order has one direction.
    """
    links = {}
    for name, begins_down in SORT_NAMES.items():
        first, second = (f"-{name}", name) if begins_down else (name, f"-{name}")
        sort = "" if name == "need" else second if filters.sort == first else first
        query = {**filters.to_query(), "sort": sort}
        query = {field: value for field, value in query.items() if value}
        is_own = filters.sort.removeprefix("-") == name or (name == "need" and not filters.sort)
        direction = "down" if filters.sort.startswith("-") else "up"
        links[name] = ("/?" + urlencode(query) if query else "/", direction if is_own else "")
    return links


SORT_NAMES = {
    "need": False,
    "p_pass": False,
    "mission": False,
    "group": False,
    "photos": True,
    "decided": True,
}
"""Orders in which they are offered, and whether the greatest come first at the first click."""
