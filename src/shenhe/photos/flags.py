"""What is said of photos beside the model: flags of a photo among those of its group.

All of it follows from the facts of photos, the id of their group, and what is known of their use
elsewhere. Limits are data; docs/photos.md has how they were chosen.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from statistics import median
from typing import Final

from shenhe.messages import PhotoFacts
from shenhe.values import ReusedPhoto, photo_key

REUSED: Final = "reused"
NEAR_DUPLICATE: Final = "near_duplicate"
SHARED: Final = "shared"
REPEATED: Final = "repeated"
OLD: Final = "old"
APART_IN_TIME: Final = "apart_in_time"
APART_IN_SPACE: Final = "apart_in_space"
SCREENSHOT: Final = "screenshot"
DARK: Final = "dark"
BLURRED: Final = "blurred"
DAMAGED_INSIDE: Final = "damaged_inside"
FLAGS: Final = (
    REUSED,
    NEAR_DUPLICATE,
    SHARED,
    REPEATED,
    OLD,
    APART_IN_TIME,
    APART_IN_SPACE,
    SCREENSHOT,
    DARK,
    BLURRED,
    DAMAGED_INSIDE,
)
"""Flags in the order in which they are told."""
MAX_COMPARED: Final = 200
"""Photos of a group among which the middle one is looked for."""
EARTH_RADIUS: Final = 6_371_000
"""Units: metres."""
_DATE: Final = re.compile(r"(?<!\d)(20\d\d)-?(0[1-9]|1[0-2])-?(0[1-9]|[12]\d|3[01])(?!\d)")


@dataclass(frozen=True, slots=True)
class FlagLimits:
    """From where on a fact is a flag.

    `blurred_below` is a sharpness, see `PhotoFacts`. Units: `dark_below` in steps of 255,
    `days_before_order` and `days_apart` in days, `metres_apart` in metres.

        >>> FlagLimits(days_apart=2).metres_apart
        1000.0
    """

    blurred_below: float = 0.25
    dark_below: float = 40.0
    days_before_order: float = 1.0
    days_apart: float = 7.0
    metres_apart: float = 1000.0


LIMITS: Final = FlagLimits()


def flag_photos(
    group_id: str,
    photos: Sequence[PhotoFacts | None],
    reused: Sequence[ReusedPhoto] = (),
    limits: FlagLimits = LIMITS,
) -> list[list[str]]:
    """List the flags of each photo of a group, in the order of `FLAGS`.

    Nothing is said of a photo without facts.

        >>> flag_photos("QC-20230222-1", [PhotoFacts(captured_at="2022-12-01T08:00:00")])
        [['old']]
    """
    facts = [photo or PhotoFacts() for photo in photos]
    flags: list[set[str]] = [_flags_of_one(photo, limits) for photo in facts]
    by_key = {photo_key(index): found for index, found in enumerate(flags)}
    for use in reused:
        by_key[use.photo].add(flag_of_use(use))
    ordered_on = order_date(group_id)
    hashes = Counter(photo.content_hash for photo in facts)
    for index, photo in enumerate(facts):
        if photo.content_hash and hashes[photo.content_hash] > 1:
            flags[index].add(REPEATED)
        if ordered_on and is_before(photo.captured_at, ordered_on, limits.days_before_order):
            flags[index].add(OLD)
    for index in far_in_time([photo.captured_at for photo in facts], limits.days_apart):
        flags[index].add(APART_IN_TIME)
    for index in far_in_space([photo.gps for photo in facts], limits.metres_apart):
        flags[index].add(APART_IN_SPACE)
    return [sorted(found, key=FLAGS.index) for found in flags]


def flag_of_use(use: ReusedPhoto) -> str:
    """Give the flag of a photo that is used elsewhere.

    >>> flag_of_use(ReusedPhoto("图片_1", "QC-1", "挡风板安装检查", same_content=False))
    'near_duplicate'
    """
    elsewhere = REUSED if use.same_content else NEAR_DUPLICATE
    return SHARED if use.same_order else elsewhere


def _flags_of_one(photo: PhotoFacts, limits: FlagLimits) -> set[str]:
    """Flag a photo by itself.

    Of one that is dark, or without contrast (which has no perceptual hash), nobody could tell
    whether it is blurred.
    """
    flags = set()
    is_dark = photo.brightness is not None and photo.brightness < limits.dark_below
    if is_dark:
        flags.add(DARK)
    elif photo.perceptual_hash and (photo.sharpness or 0.0) < limits.blurred_below:
        flags.add(BLURRED)
    if photo.screenshot:
        flags.add(SCREENSHOT)
    if photo.damaged_inside:
        flags.add(DAMAGED_INSIDE)
    return flags


def order_date(group_id: str) -> date | None:
    """Read the date in the id of a group; None if it has none, or several that differ.

    >>> order_date("QC-20230222-0000297"), order_date("QC-0000297")
    (datetime.date(2023, 2, 22), None)
    """
    dates = set()
    for match in _DATE.finditer(group_id):
        try:
            dates.add(date(*map(int, match.groups())))
        except ValueError:  # the 30th of February
            continue
    return dates.pop() if len(dates) == 1 else None


def is_before(captured_at: str | None, day: date, days: float) -> bool:
    """Whether a photo was taken more than so many days before the beginning of a day.

    A time without an offset counts as one of the order's own place, as does the local time of one
    with an offset.

    >>> is_before("2023-02-20T23:59:00+08:00", date(2023, 2, 22), 1)
    True
    """
    time = _parse(captured_at)
    if time is None:
        return False
    start = datetime(day.year, day.month, day.day)
    return time.replace(tzinfo=None) < start - timedelta(days=days)


def far_in_time(times: Sequence[str | None], days: float) -> list[int]:
    """List the positions of photos taken more than so many days from the median of their group.

    Of two photos that are far from each other both are listed. Times with and without an offset
    are compared as if all had none: what that is wrong by is hours.

    >>> far_in_time(["2023-02-22T08:00:00", None, "2023-02-22T09:00:00", "2021-01-01T00:00:00"], 7)
    [3]
    """
    seconds = {
        index: parsed.replace(tzinfo=UTC).timestamp()
        for index, time in enumerate(times)
        if (parsed := _parse(time))
    }
    if len(seconds) < 2:
        return []
    middle = median(seconds.values())
    reach = days * 86_400 / (2 if len(seconds) == 2 else 1)
    return [index for index, second in seconds.items() if abs(second - middle) > reach]


def far_in_space(positions: Sequence[tuple[float, float] | None], metres: float) -> list[int]:
    """List the indices of photos taken more than so many metres from most of their group.

    That is: from the photo whose distances to the others add up to the least. Of two photos that
    are far from each other both are listed. Units: degrees of latitude and longitude.

    >>> far_in_space([(31.2, 121.5), (31.2001, 121.5), None, (31.9, 121.5)], 1000)
    [3]
    """
    located = [(index, place) for index, place in enumerate(positions) if place]
    if len(located) < 2:
        return []
    compared = [place for _, place in located[:MAX_COMPARED]]
    middle = min(
        compared, key=lambda place: sum(metres_between(place, other) for other in compared)
    )
    far = [index for index, place in located if metres_between(place, middle) > metres]
    return [index for index, _ in located] if far and len(located) == 2 else far


def metres_between(one: tuple[float, float], another: tuple[float, float]) -> float:
    """Measure the great circle between two places. Units: degrees in, metres out.

    >>> round(metres_between((0, 179.999), (0, -179.999)))
    222
    """
    (latitude, longitude), (other_latitude, other_longitude) = one, another
    first, second = math.radians(latitude), math.radians(other_latitude)
    half_rise, half_turn = (second - first) / 2, math.radians(other_longitude - longitude) / 2
    chord = math.sin(half_rise) ** 2 + math.cos(first) * math.cos(second) * math.sin(half_turn) ** 2
    return 2 * EARTH_RADIUS * math.asin(math.sqrt(min(1.0, chord)))


def _parse(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:  # a row that another tool changed
        return None
