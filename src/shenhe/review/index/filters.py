"""Filters and orders of the queue, as the query of an address and as conditions in SQL."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from shenhe.review.index.scopes import Scope
from shenhe.rows.decision_rows import DEFERRED
from shenhe.values import PASS

STATES = ("open", "decided", "overruled", "deferred")
ALL: Final = "all"
"""The state of all groups, said in an address: a list without a state shows the open ones."""
LABELS = "labels"
VERDICTS = ("通过", "不通过", "undecided")


class Queue(NamedTuple):
    """The groups of a queue and its order, in SQL on a group `g` and its answer `c`.

    `table` has a row a group, `joins` leaves the groups of the queue, `position` orders them,
    `answered` holds where people have answered the queue's question, and `against` where they
    answered otherwise than expected.
    """

    table: str
    joins: str
    position: str
    answered: str
    against: str


QUEUES = {
    "": Queue("groups", "", "g.number", "c.choice IS NOT NULL", "c.overrules"),
    LABELS: Queue(
        "doubts",
        "JOIN doubts q ON q.number = g.number",
        "q.rank",
        # 通过 alone does not say whether the person knew of the label.
        f"(c.choice IS NOT NULL AND (c.choice <> '{PASS}' OR c.wrong))",
        "c.wrong",
    ),
}
"""Queues by their name in addresses: by need, and labels in doubt."""
SORTS: Final = {
    "p_pass": "g.sure",
    "mission": "g.mission",
    "group": "g.group_id",
    "photos": "g.photos",
    "decided": "ifnull(c.decision, 0)",
}
"""What a queue may be ordered by beside its own order; with `-` before it, the greatest first."""


_HIDDEN = "drawn AND reviewer <> :viewer"
VEILED: Final = (
    "(SELECT number, mission, decision, drawn,"
    f" CASE WHEN {_HIDDEN} THEN '' ELSE choice END AS choice,"
    f" CASE WHEN {_HIDDEN} THEN 0 ELSE overrules END AS overrules,"
    f" CASE WHEN {_HIDDEN} THEN 0 ELSE wrong END AS wrong,"
    f" CASE WHEN {_HIDDEN} THEN '' ELSE reviewer END AS reviewer,"
    f" CASE WHEN {_HIDDEN} THEN '' ELSE at END AS at FROM answers)"
)
"""Answers without what a second person must not know: that there is one is all that is left."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Conditions on the groups of the queue, and their order; an empty one lets all through.

    `state` is open (nobody has decided), decided, overruled (against the model), deferred (待定) or
    all, `verdict` 通过, 不通过 or undecided. `against` selects groups judged against their label,
    `marked` those with a photo of which something is said beside the model. `queue` names one of
    `QUEUES`: its states are about its question, and among labels in doubt those that are wrong are
    the overruled ones. `sort` is one of `SORTS`, or one with `-` before it. `viewer` is the person
    from whom decisions of others are kept that a second opinion may be asked on; it is in no
    address. `scope` are the groups that belong to a person, who sees them alone unless `mine` is
    all.

        >>> Filters(state="open", text="未拧紧").to_query()
        {'state': 'open', 'text': '未拧紧'}
    """

    mission: str = ""
    verdict: str = ""
    state: str = ""
    against: bool = False
    text: str = ""
    queue: str = ""
    marked: bool = False
    sort: str = ""
    viewer: str = ""
    mine: str = ""
    scope: Scope | None = None

    def to_query(self) -> dict[str, str]:
        """Give the fields of an address, without the empty ones."""
        fields = {
            "mission": self.mission,
            "verdict": self.verdict,
            "state": self.state,
            "against": "1" if self.against else "",
            "text": self.text,
            "queue": self.queue,
            "marked": "1" if self.marked else "",
            "sort": self.sort,
            "mine": self.mine,
        }
        return {name: value for name, value in fields.items() if value}

    @property
    def shows_all_states(self) -> bool:
        """Whether groups are let through whatever people decided of them."""
        return self.state in ("", ALL)

    @property
    def only_open(self) -> Filters:
        """The same, of groups that wait, unless another state is named."""
        return replace(self, state="open") if self.shows_all_states else self

    @property
    def of_list(self) -> Filters:
        """What a list shows: open groups, unless a state is named."""
        return self if self.state else replace(self, state="open")

    @property
    def in_any_state(self) -> Filters:
        """The same groups whatever people decided, in the queue's own order."""
        return replace(self, state="", sort="")

    @property
    def names_nothing_else(self) -> bool:
        """Whether no group is left out, but by its mission, its queue and its state."""
        return not (self.verdict or self.against or self.text or self.marked or self.scope)


def answers_of(filters: Filters) -> str:
    """Give the table of answers in SQL, as far as a person may know of them."""
    return VEILED if filters.viewer else "answers"


def condition_on_rows(filters: Filters) -> str:
    """Give the condition in SQL on a group `g`, with `values_of` as its parameters."""
    parts = ["1"]
    if filters.mission:
        parts.append("g.mission = :mission")
    if filters.verdict == "undecided":
        parts.append("g.verdict IS NULL")
    elif filters.verdict:
        parts.append("g.verdict = :verdict")
    if filters.against:
        parts.append("g.against = 1")
    if filters.marked:
        parts.append("g.marked = 1")
    if filters.scope:
        parts.append(filters.scope.condition)
    return " AND ".join(parts)


def condition_on_answers(filters: Filters) -> str:
    """Give the condition in SQL on the answer `c` of a group, where people's state is filtered."""
    queue = QUEUES[filters.queue]
    return {
        "open": f"NOT {queue.answered}",
        "decided": queue.answered,
        "overruled": queue.against,
        "deferred": f"c.choice = '{DEFERRED}'",
    }.get(filters.state, "1")


def values_of(filters: Filters) -> dict[str, object]:
    """Give the parameters of the conditions."""
    own = dict(filters.scope.values) if filters.scope else {}
    names = {"mission": filters.mission, "verdict": filters.verdict, "viewer": filters.viewer}
    return {**names, **own}
