"""Reasons of people for failing groups, where rows carry them: counted as they are written."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping
from typing import Final, NamedTuple

from shenhe.errors import OptionError

REVIEW_FIELD: Final = "复核"
"""The field of what people said in `shenhe review`."""
LIKELY_FIELDS: Final = (
    REVIEW_FIELD,
    *("不通过原因", "不合格原因", "审核不通过原因", "驳回原因", "失败原因", "整改原因", "原因"),
    *("failreason", "gtfailreasontext", "gtfailreason", "failreasontext"),
    *("failurereason", "rejectreason", "rejectionreason", "reason"),
    *(
        "审核意见",
        "人工意见",
        "意见",
        "审核备注",
        "备注",
        "remark",
        "remarks",
        "comment",
        "comments",
    ),
)
"""Names under which tools keep such reasons, the surest first, as `_fold_name` writes them."""
MAX_DISTINCT: Final = 100_000
"""Maximum number of different reasons of a field that are told apart; later ones are one reason."""
MAX_CHARACTERS: Final = 200
"""The length that a reason is cut to."""
LATER: Final = "…"
"""Stands for all reasons beyond `MAX_DISTINCT`."""


class ReasonCount(NamedTuple):
    """A reason, and how many failed groups have it: those without anything to see, and others.

    A group with several reasons is counted for each of them.
    """

    reason: str
    unobservable: int
    observable: int


class FailReasons:
    """Counts the reasons of failed groups by field, and by whether their lines show anything wrong.

    >>> reasons = FailReasons()
    >>> reasons.add({"不通过原因": " 标签未拍全 "}, unobservable=True)
    '标签未拍全'
    >>> reasons.field, reasons.top()
    ('不通过原因', [ReasonCount(reason='标签未拍全', unobservable=1, observable=0)])
    """

    def __init__(self, field: str | None = None) -> None:
        """Count those of one field, or of every field that is likely to hold some."""
        self._wanted = field
        self._fields = LIKELY_FIELDS if field is None else (_fold_name(field),)
        self._names: dict[str, str] = {}
        self._counts: dict[str, dict[bool, Counter[str]]] = {}
        self._groups: Counter[bool] = Counter()

    def add(self, extra: Mapping[str, object], *, unobservable: bool) -> str:
        """Count the reasons of a failed group, and return that of the surest field."""
        self._groups[unobservable] += 1
        values = {self._names.setdefault(name, _fold_name(name)): extra[name] for name in extra}
        surest = ""
        for name in self._fields:
            for reason in dict.fromkeys(_list_reasons(values.get(name))):
                self._count(name, reason, unobservable=unobservable)
            surest = surest or read_reason(values.get(name))
        return surest

    def check(self) -> None:
        """Refuse a field that was named and that no failed group has.

        Raises: OptionError, with the fields that there are.
        """
        if self._wanted is not None and not self._counts:
            names = ", ".join(self._names) or "none"
            problem = f"no failed group has it; further keys of their rows: {names}"
            raise OptionError("reason", self._wanted, problem)

    @property
    def field(self) -> str:
        """The field, as rows write it; empty if none holds a reason."""
        surest = next((name for name in self._fields if name in self._counts), "")
        return next((name for name, folded in self._names.items() if folded == surest), "")

    def top(self, count: int = 10) -> list[ReasonCount]:
        """List the reasons that are the most common of either kind of group."""
        surest = next((name for name in self._fields if name in self._counts), "")
        counts = self._counts.get(surest, {})
        unobservable, observable = (counts.get(kind, Counter()) for kind in (True, False))
        common = [*unobservable.most_common(count), *observable.most_common(count)]
        reasons = dict.fromkeys(reason for reason, _ in common)
        return [ReasonCount(r, unobservable[r], observable[r]) for r in reasons]

    def to_json(self) -> dict[str, object] | None:
        """Give the field and its most common reasons; None if rows carry none."""
        if not self.field:
            return None
        return {
            "field": self.field,
            "unobservable_groups": self._groups[True],
            "other_groups": self._groups[False],
            "top": [reason._asdict() for reason in self.top()],
        }

    def _count(self, name: str, reason: str, *, unobservable: bool) -> None:
        kinds = self._counts.setdefault(name, {True: Counter(), False: Counter()})
        counts = kinds[unobservable]
        is_new = reason not in counts and len(counts) >= MAX_DISTINCT
        counts[LATER if is_new else reason] += 1


def read_reason(value: object) -> str:
    """Read a reason on one line; lists are joined, and what is no text is none.

    >>> read_reason(["标签　不清", "", "线径不一致"])
    '标签 不清；线径不一致'
    """
    return "；".join(_list_reasons(value))[:MAX_CHARACTERS]


def _list_reasons(value: object) -> list[str]:
    """List reasons, each on one line; what is no text is none."""
    if isinstance(value, list):
        return [reason for each in value for reason in _list_reasons(each)]
    if not isinstance(value, str):
        return []
    reason = " ".join(unicodedata.normalize("NFKC", value).split())[:MAX_CHARACTERS]
    return [reason] if reason else []


def _fold_name(name: str) -> str:
    """Write the name of a field as `LIKELY_FIELDS` does: Fail_Reason is failreason."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(character for character in folded if character.isalnum())
