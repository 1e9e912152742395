"""Filters of the queue, as the query of an address and as a condition in SQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from shenhe.values import PASS

MIN_TRIGRAM_LENGTH = 3
"""Length of the shortest text that the trigram index can search. Units: characters."""
STATES = ("open", "decided", "overruled", "deferred")
LABELS = "labels"
VERDICTS = ("通过", "不通过", "undecided")
OVERRULES = (
    "(c.overrules AND (SELECT d.verdict FROM decided.decisions d WHERE d.number = c.number)"
    " IS NOT NULL)"
)
"""Whether a decision overrules the model. Earlier versions also set `overrules` for groups that the
model had left undecided."""
LABEL_WRONG = (
    "(c.choice IS NOT NULL AND coalesce((SELECT json_extract(d.said, '$.label_wrong')"
    " FROM decided.decisions d WHERE d.number = c.number), 0))"
)
"""Whether a decision says that the label is wrong."""


class Queue(NamedTuple):
    """The groups of a queue and its order, in SQL on a group `g` and its decision `c`.

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
    "": Queue("groups", "", "g.number", "c.choice IS NOT NULL", OVERRULES),
    LABELS: Queue(
        "doubts",
        "JOIN doubts q ON q.number = g.number",
        "q.rank",
        # 通过 alone does not say whether the person knew of the label.
        f"(c.choice IS NOT NULL AND (c.choice <> '{PASS}' OR {LABEL_WRONG}))",
        LABEL_WRONG,
    ),
}
"""Queues by their name in addresses: by need, and labels in doubt."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Conditions on the groups of the queue; an empty one lets all groups through.

    `state` is open (nobody has decided), decided, overruled (against the model) or deferred (待定),
    `verdict` 通过, 不通过 or undecided. `against` selects groups judged against their label,
    `marked` those with a photo of which something is said beside the model. `queue` names one of
    `QUEUES`: its states are about its question, and among labels in doubt those that are wrong are
    the overruled ones.

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
        }
        return {name: value for name, value in fields.items() if value}


def to_condition(filters: Filters) -> tuple[str, tuple[object, ...]]:
    """Give the condition in SQL on a group `g` and its decision `c`, and its parameters."""
    parts: list[tuple[str, object]] = []
    if filters.mission:
        parts.append(("g.mission = ?", filters.mission))
    if filters.verdict == "undecided":
        parts.append(("g.verdict IS NULL AND ?", 1))
    elif filters.verdict:
        parts.append(("g.verdict = ?", filters.verdict))
    if filters.against:
        parts.append(("g.against = ?", 1))
    if filters.marked:
        parts.append(("g.marked = ?", 1))
    queue = QUEUES[filters.queue]
    match filters.state:
        case "open":
            parts.append((f"NOT ({queue.answered}) AND ?", 1))
        case "decided":
            parts.append((f"{queue.answered} AND ?", 1))
        case "overruled":
            parts.append((f"{queue.against} = ?", 1))
        case "deferred":
            parts.append(("c.choice = ?", "待定"))
    if len(filters.text) >= MIN_TRIGRAM_LENGTH:
        phrase = '"' + filters.text.replace('"', '""') + '"'
        parts.append(("g.number IN (SELECT rowid FROM texts WHERE texts MATCH ?)", phrase))
    elif filters.text:
        scan = "g.number IN (SELECT rowid FROM texts WHERE instr(lower(text), lower(?)))"
        parts.append((scan, filters.text))
    conditions = [condition for condition, _ in parts] or ["1"]
    return " AND ".join(conditions), tuple(value for _, value in parts)
