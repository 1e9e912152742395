"""Whether a text goes round in a circle: the same thing again, or one that only counts on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from itertools import groupby, pairwise

from shenhe.geometry import kind_of, to_numbers
from shenhe.messages import Grammar
from shenhe.values import Caption, CaptionObject, photo_key

LOOP = 3
"""An object written so often, alike to the last digit, is a model in a loop, not so many things."""
ONE_NUMBER_LOOP, EVEN_LOOP = 6, 8
"""Objects in a row that differ by one and the same number, or all of whose numbers grow evenly."""
LINE_LOOP = 24
"""A line may name equal things one by one; so many of them are no line any more."""
LINE_COUNTING, LINE_ALIKE, TIMES_COUNTING = 16, 32, 5
"""Items whose numbers grow evenly; that differ by their numbers alone; whose ×N alone grows."""
LAST = 64
"""Objects that are looked at while more are being written."""
MAX_PERIOD = 8
"""Numbers in what is written again and again."""
_OBJECT = re.compile(r'"object_\d+":\s?(\{[^{}]*\})')
_NUMBER = re.compile(r"[0-9]{1,15}")
_ITEM_END = re.compile(r"[，,；;]")
_RUN = re.compile(rf"([^\W_].{{0,15}}?)\1{{{LINE_LOOP - 1},}}")
"""A few characters again and again, with nothing that parts them into items."""

Numbers = tuple[float, ...]


def is_repeating(text: str, grammar: Grammar) -> bool:
    """Whether what was written last has been written too often, or counts on without end."""
    if grammar.kind == "caption":
        objects = _OBJECT.findall(text)[-LAST:]
        if not objects:
            return False
        if objects.count(objects[-1]) >= LOOP:
            return True
        last = _alike(objects[-1])[0]
        rows = [numbers for alike, numbers in map(_alike, objects) if alike == last]
        return len(rows) - 1 in {at for run in _counting(rows) for at in run}
    if grammar.kind == "summary":
        return bool(describe_line_loop(text))
    return False


def describe_line_loop(line: str) -> str:
    """Say how a line goes round in a circle; empty if it does not.

    >>> describe_line_loop("，".join(f"标签/{n}×1" for n in range(1, 41)))
    'counts on: 40 times'
    """
    items = [item.strip() for item in line.split("，") if item.strip()]
    item, count = Counter(items).most_common(1)[0] if items else ("", 0)
    if count >= LINE_LOOP:
        return f"{item[:40]!r} is written {count} times"
    if times := _counts_on(line):
        return f"counts on: {times} times"
    shapes = Counter(_NUMBER.sub("#", item) for item in _ITEM_END.split(line))
    shape, count = max(
        ((shape, count) for shape, count in shapes.items() if "#" in shape),
        key=lambda pair: pair[1],
        default=("", 0),
    )
    if count >= LINE_ALIKE:
        return f"{shape.strip()[:40]!r} is written with {count} numbers"
    if run := _RUN.search(line):
        return f"{run[1]!r} is written {len(run[0]) // len(run[1])} times"
    return ""


def _counts_on(line: str) -> int:
    """How often a piece of a line is written, each time with numbers that grow evenly; 0 if not."""
    line = "，" + line
    matches = list(_NUMBER.finditer(line))
    ends = [0, *(match.end() for match in matches)]
    words = [line[end : match.start()] for end, match in zip(ends, matches, strict=False)]
    numbers = [int(match[0]) for match in matches]
    return max((_evenly(words, numbers, period) for period in range(1, MAX_PERIOD + 1)), default=0)


def _evenly(words: Sequence[str], numbers: Sequence[int], period: int) -> int:
    """How often `period` numbers come again with the same words before them, and grow evenly."""
    steps = [
        later - sooner if word == word_before else None
        for later, sooner, word, word_before in zip(
            numbers[period:], numbers, words[period:], words, strict=False
        )
    ]
    run = most = 0
    for at in range(period, len(steps)):
        run = run + 1 if steps[at] is not None and steps[at] == steps[at - period] else 0
        growing = [back for back in range(at - period + 1, at + 1) if steps[back]]
        only_times = all(words[back + period].endswith("×") for back in growing)
        times = run // period + 2
        if run and growing and times >= (TIMES_COUNTING if only_times else LINE_COUNTING):
            most = max(most, times)
    return most


def drop_loops(value: Caption) -> tuple[Caption, list[str]]:
    """Keep one of each object that was written over and over, or that only counts on.

    Gives a repair for each: `loop: ...`.
    """
    photos, repairs = [], []
    for index, objects in enumerate(value.photos):
        kept, loops = _of_photo(objects, photo_key(index))
        photos.append(kept)
        repairs += loops
    return Caption(tuple(photos)), repairs


def _of_photo(
    objects: Sequence[CaptionObject], photo: str
) -> tuple[tuple[CaptionObject, ...], list[str]]:
    counts = Counter(objects)
    places: dict[Hashable, list[int]] = {}
    rows: dict[Hashable, list[Numbers]] = {}
    for at, thing in enumerate(objects):
        alike, numbers = _alike(thing.desc)
        key = (kind_of(thing.shape), len(to_numbers(thing.shape)), alike)
        places.setdefault(key, []).append(at)
        rows.setdefault(key, []).append((*to_numbers(thing.shape), *numbers))
    behind: dict[int, int] = {}  # the first of a run -> how many there are
    dropped: set[int] = set()
    for alike_places, vectors in zip(places.values(), rows.values(), strict=True):
        for run in _counting(vectors):
            behind[alike_places[run[0]]] = len(run)
            dropped |= {alike_places[at] for at in run[1:]}
    kept: list[CaptionObject] = []
    repairs: list[str] = []
    written: set[CaptionObject] = set()
    for at, thing in enumerate(objects):
        if at in dropped or thing in written:
            continue
        kept.append(thing)
        name = f"{photo}/object_{len(kept)}"
        if counts[thing] >= LOOP:
            written.add(thing)
            repairs.append(f"loop: {name} was written {counts[thing]} times")
        elif at in behind:
            repairs.append(f"loop: {name} was written {behind[at]} times, its numbers counting on")
    return tuple(kept), repairs


def _alike(text: str) -> tuple[tuple[str, ...], Numbers]:
    """Part a text into the words between its numbers, and its numbers."""
    return tuple(_NUMBER.split(text)), tuple(map(int, _NUMBER.findall(text)))


def _counting(rows: Sequence[Numbers]) -> Iterator[Sequence[int]]:
    """Find runs of rows that differ by one and the same number, or grow by the same each time.

    Shape: rows of equally many numbers in; places of the rows of each run out.
    """
    steps = [
        tuple(later - sooner for sooner, later in zip(row, following, strict=True))
        for row, following in pairwise(rows)
    ]
    for signs, least in ((_place_of_step, ONE_NUMBER_LOOP), (_step_itself, EVEN_LOOP)):
        at = 0
        for sign, group in groupby(steps, signs):
            length = sum(1 for _ in group)
            if sign is not None and length + 1 >= least:
                yield range(at, at + length + 1)
            at += length


def _place_of_step(step: Numbers) -> int | None:
    """Give the place of the only number that changes."""
    changed = [at for at, by in enumerate(step) if by]
    return changed[0] if len(changed) == 1 else None


def _step_itself(step: Numbers) -> Numbers | None:
    return step if any(step) else None
