"""The head of a sheet: what was inspected, when, by what, and what may be relied on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from shenhe.report.bound import describe_bound
from shenhe.report.reading import SheetReading
from shenhe.report.sheet.words import Speaker
from shenhe.report.times import show_time
from shenhe.rows.promises import Promise

MAX_NAMED: Final = 12
"""Maximum number of missions, conditions and checkpoints that a head names; others are counted."""


class HeadLine(NamedTuple):
    """A line of the head: its name, and a text that may hold foreign names."""

    name: str
    text: str


def describe_head(
    say: Speaker, reading: SheetReading, promise: Promise | None, made: datetime
) -> Iterator[HeadLine]:
    """Describe the groups that were read, a line each; the bound on false passes last."""
    words, whole = say.words, reading.whole
    yield HeadLine(words["head_missions"], _join(say, list(reading.totals)))
    yield HeadLine(words["head_run"], reading.run_name)
    conditions = _join(say, reading.choice.describe()) or words["head_whole_run"]
    yield HeadLine(words["head_choice"], conditions)
    counts = words["head_counts_text"].format(
        groups=f"{whole.groups:,}", photos=f"{whole.photos:,}", decided=f"{whole.decided:,}"
    )
    yield HeadLine(words["head_counts"], counts)
    yield HeadLine(words["head_judged"], _period(say, reading))
    last = reading.last_decision
    if last is not None:
        yield HeadLine(words["head_decided"], say.time(last.at, reading.zone))
    yield HeadLine(words["head_made"], f"{show_time(made)} ({reading.zone})")
    yield HeadLine(
        words["head_checkpoint"], _join(say, list(reading.checkpoints)) or words["unknown"]
    )
    yield HeadLine(words["head_promise"], _promises(say, reading))
    yield HeadLine(words["head_bound"], getattr(describe_bound(reading, promise), say.language))


def _period(say: Speaker, reading: SheetReading) -> str:
    if reading.first is None or reading.last is None:
        return say.words["unknown"]
    days = dict.fromkeys((show_time(reading.first), show_time(reading.last)))
    return f"{' – '.join(days)} ({reading.zone})"


def _promises(say: Speaker, reading: SheetReading) -> str:
    names = [name for name in reading.promises if name]
    if not names:
        return say.words["no_promise"]
    open_groups = reading.promises[""]
    text = _join(say, names)
    return (
        f"{text}{say.words['joint']}{say.words['without_promise'].format(count=open_groups)}"
        if (open_groups)
        else text
    )


def _join(say: Speaker, names: Sequence[str]) -> str:
    text = say.words["listed"].join(names[:MAX_NAMED])
    hidden = len(names) - MAX_NAMED
    return f"{text} +{hidden}" if hidden > 0 else text
