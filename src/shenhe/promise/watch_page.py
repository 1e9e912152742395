"""The page of a watch, for whoever answers for the groups: one sentence, a light, the bands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from markupsafe import Markup

from shenhe.files import whole_file
from shenhe.promise.bound import BandWeek
from shenhe.promise.watch_words import (
    NOT_AUDITED,
    advice,
    describe_promised,
    describe_rates,
    describe_used,
    headline,
    mission_words,
    state_words,
)
from shenhe.promise.watching import MissionWatch, Watch
from shenhe.row_types import utc_now
from shenhe.rows.words import MISSION, Words, per
from shenhe.templating import environment

WIDTH, HEIGHT = 300, 150
"""The inside of a picture. Units: pixels."""
ENDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Where the axis of a share may end."""
HEADS: Final = (
    Words("承诺", "promised"),
    Words("实际", "used"),
    Words("盲审", "audited"),
    Words("误放行", "false passes"),
    Words("状态", "state"),
    Words("下周盲审", "next share"),
)
SHOWN_LIMITS = 4
"""The axis of a share ends at this multiple of the promise, or where it is round above it."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A week: `low` to `high` is the interval, `estimate` within it. Units: pixels, from the top.

    `is_cut` says that the interval goes on above the picture; `title` tells the figures.
    """

    x: float
    width: float
    low: float
    high: float
    estimate: float | None
    is_cut: bool
    title: str


@dataclass(frozen=True, slots=True)
class Picture:
    """The bands of a mission over weeks, and the promise as a line. Units: pixels."""

    bars: Sequence[Bar]
    limit: float
    limit_text: str
    end_text: str
    alarm: float | None
    first_week: str
    last_week: str
    width: int = WIDTH
    height: int = HEIGHT


@dataclass(frozen=True, slots=True)
class Card:
    """What the page shows of a mission."""

    name: Words
    state: str
    state_words: Words
    rates: Words
    used: Words
    promised: Words
    audited: Words
    next_share: str
    picture: Picture


def write_watch_page(path: Path, watch: Watch) -> None:
    """Write one self-contained HTML page; names are escaped.

    Raises: RunError if it cannot be written.

    Example:
        write_watch_page(Path("watch.html"), watch_audits(read_looks([Path("out")])))

    """
    words = state_words(watch)
    templates = environment("shenhe.promise")
    page = templates.get_template("watch.html").render(
        made=utc_now(),
        light="unknown" if words == NOT_AUDITED else watch.state,
        light_words=words,
        headline=headline(watch),
        rates=describe_rates(watch.missions[0].audited, watch.confidence),
        advice=[Words(*map(_mark_commands, words)) for words in advice(watch)],
        cards=[_card(mission, watch) for mission in watch.missions],
        promise=watch.promise.hash if watch.promise else "",
        groups=f"{watch.reading.groups:,}",
        heads=[words.spoken() for words in HEADS],
        mission_head=MISSION.spoken(),
        key=_describe_pictures(f"{watch.confidence:.0%}"),
    )
    with whole_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _describe_pictures(confidence: str) -> Words:
    return Words(
        f"蓝线：不合格组被放行的比例；蓝带：任何时候都成立的区间（每侧 {confidence} 把握）；"
        "红虚线：承诺；红竖线：报警。",
        "Blue line: share of bad groups that pass; band: an interval that holds at any time"
        f" ({confidence} sure on each side); dashed: the promise; upright: the alarm.",
    )


def _mark_commands(text: str) -> Markup:
    """Show what stands between grave accents as something to type.

    Every second part of the text stands between two of them.
    """
    parts = [
        Markup("<code>{}</code>").format(part) if index % 2 else Markup("{}").format(part)
        for index, part in enumerate(text.split("`"))
    ]
    return Markup("").join(parts)


def _card(mission: MissionWatch, watch: Watch) -> Card:
    audited = mission.audited
    state = watch.state_of(mission)
    share = watch.next_share(state)
    words = state_words(watch, mission)
    zh = f"{audited.looked:,}/{audited.passed:,} 组，{audited.false} 组不合格"
    en = f"{audited.looked:,} of {audited.passed:,} groups, {audited.false} bad"
    if audited.doubts:
        zh, en = f"{zh}，{audited.doubts} 组待定", f"{en}, {audited.doubts} in doubt"
    return Card(
        mission_words(mission),
        "unknown" if words == NOT_AUDITED else state,
        words,
        describe_rates(audited, watch.confidence),
        describe_used(mission),
        describe_promised(mission, watch),
        Words(zh, en),
        "–" if share is None else f"{share:.1%}",
        draw_bands(mission),
    )


def draw_bands(mission: MissionWatch) -> Picture:
    """Draw the interval of each week; what is beyond a few times the promise is cut off.

    Example:
        picture = draw_bands(watch_audits(read_looks([Path("out")])).missions[0])

    """
    last = {week.week: week for band in mission.bands for week in band}
    weeks = sorted(last)
    highest = max(SHOWN_LIMITS * mission.limit, max((each.estimate or 0) for each in last.values()))
    end = next((value for value in ENDS if value >= min(highest, 1)), 1.0)
    step = WIDTH / len(weeks)
    bars = [_bar(last[week], index * step, step, end) for index, week in enumerate(weeks)]
    alarm = (weeks.index(mission.alarm_week) + 0.5) * step if mission.alarm_week in weeks else None
    return Picture(
        bars,
        _height(mission.limit, end),
        f"{per(mission.limit, 100)}%",
        f"{end:.0%}",
        alarm,
        weeks[0],
        weeks[-1],
    )


def _bar(week: BandWeek, x: float, width: float, end: float) -> Bar:
    estimate = "?" if week.estimate is None else f"{week.estimate:.1%}"
    return Bar(
        x,
        width,
        _height(week.low, end),
        _height(week.high, end),
        None if week.estimate is None else _height(week.estimate, end),
        week.high > end,
        f"{week.week}: {estimate} ({week.low:.1%}–{week.high:.1%})",
    )


def _height(share: float, end: float) -> float:
    return HEIGHT * (1 - min(share / end, 1.0))
