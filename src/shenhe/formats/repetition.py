"""Loops: whether a text repeats itself, or counts on without end."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from typing import NamedTuple

from shenhe.formats.repairs import Repair
from shenhe.geometry import shape_key, to_numbers
from shenhe.messages import Grammar
from shenhe.values import Caption, CaptionObject, photo_key

LOOP = 3
"""Copies of one object, equal to the last digit, that are a loop."""
ONE_NUMBER_LOOP, EVEN_LOOP = 6, 8
"""Objects in a row that differ by one number alone, or whose numbers all grow evenly."""
LINE_LOOP = 24
"""Copies of one item that are a loop in a line; a line may list a few equal things one by one."""
LINE_COUNTING, LINE_ALIKE, TIMES_COUNTING = 16, 32, 5
"""Items whose numbers grow evenly; that differ by numbers alone; of which only the ×N grows."""
MAX_RECENT = 64
"""Last objects that are compared while more are being written."""
MAX_PERIOD = 8
"""Numbers in a repeated piece."""
_OBJECT = re.compile(r'"object_\d+":\s?(\{[^{}]*\})')
_NUMBER = re.compile(r"[0-9]{1,15}")
_ITEM_END = re.compile(r"[，,；;]")
_RUN = re.compile(rf"([^\W_].{{0,15}}?)\1{{{LINE_LOOP - 1},}}")
"""A few characters repeated without a separator."""

Numbers = tuple[float, ...]


class _Template(NamedTuple):
    """A text, split into the words between its numbers, and the numbers."""

    words: tuple[str, ...]
    numbers: Numbers


def is_repeating(text: str, grammar: Grammar) -> bool:
    """Whether the end of a text is a loop: repeated too often, or counting on without end.

    >>> from shenhe.formats import grammars
    >>> is_repeating("标签/可以识别×1，" * 30, grammars.of_summary())
    True
    """
    if grammar.kind == "caption":
        objects = _OBJECT.findall(text)[-MAX_RECENT:]
        if not objects:
            return False
        if objects.count(objects[-1]) >= LOOP:
            return True
        templates = [_split_numbers(item) for item in objects]
        rows = [item.numbers for item in templates if item.words == templates[-1].words]
        return len(rows) - 1 in {index for run in _find_runs(rows) for index in run}
    if grammar.kind == "summary":
        return bool(describe_line_loop(text))
    return False


def describe_line_loop(line: str) -> str:
    """Describe the loop of a line; empty if there is none.

    >>> describe_line_loop("，".join(f"标签/{n}×1" for n in range(1, 41)))
    'counts on: 40 times'
    """
    items = [item.strip() for item in line.split("，") if item.strip()]
    item, count = Counter(items).most_common(1)[0] if items else ("", 0)
    if count >= LINE_LOOP:
        return f"{item[:40]!r} is written {count} times"
    if times := _count_counting_on(line):
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


def _count_counting_on(line: str) -> int:
    """Count the repetitions of a piece of a line whose numbers grow evenly; 0 if there are none."""
    line = "，" + line
    matches = list(_NUMBER.finditer(line))
    ends = [0, *(match.end() for match in matches)]
    words = [line[end : match.start()] for end, match in zip(ends, matches, strict=False)]
    numbers = [int(match[0]) for match in matches]
    periods = range(1, MAX_PERIOD + 1)
    return max((_count_periods(words, numbers, period) for period in periods), default=0)


def _count_periods(words: Sequence[str], numbers: Sequence[int], period: int) -> int:
    """Count how often `period` numbers recur behind the same words, growing evenly."""
    steps = [
        later - sooner if word == word_before else None
        for later, sooner, word, word_before in zip(
            numbers[period:], numbers, words[period:], words, strict=False
        )
    ]
    run = longest = 0
    for index in range(period, len(steps)):
        grows_evenly = steps[index] is not None and steps[index] == steps[index - period]
        run = run + 1 if grows_evenly else 0
        growing = [back for back in range(index - period + 1, index + 1) if steps[back]]
        only_times = all(words[back + period].endswith("×") for back in growing)
        times = run // period + 2
        if run and growing and times >= (TIMES_COUNTING if only_times else LINE_COUNTING):
            longest = max(longest, times)
    return longest


def drop_loops(value: Caption) -> tuple[Caption, list[Repair]]:
    """Keep the first object of each loop; return a repair for each.

    >>> from shenhe.geometry import Box
    >>> looped = Caption(((CaptionObject(Box(1, 2, 3, 4), "标签"),) * 5,))
    >>> [str(repair) for repair in drop_loops(looped)[1]]
    ['loop: 图片_1/object_1 was written 5 times']
    """
    photos, repairs = [], []
    for index, objects in enumerate(value.photos):
        kept, loops = _drop_loops_of_photo(objects, photo_key(index))
        photos.append(kept)
        repairs += loops
    return Caption(tuple(photos)), repairs


def _drop_loops_of_photo(
    objects: Sequence[CaptionObject], photo: str
) -> tuple[tuple[CaptionObject, ...], list[Repair]]:
    counts = Counter(objects)
    run_lengths: dict[int, int] = {}  # by the index of a run's first object
    dropped: set[int] = set()
    for run in _runs_of_objects(objects):
        run_lengths[run[0]] = len(run)
        dropped.update(run[1:])
    kept: list[CaptionObject] = []
    repairs: list[Repair] = []
    looped: set[CaptionObject] = set()
    for index, item in enumerate(objects):
        if index in dropped or item in looped:
            continue
        kept.append(item)
        path = f"{photo}/object_{len(kept)}"
        if counts[item] >= LOOP:
            looped.add(item)
            repairs.append(Repair("loop", f"{path} was written {counts[item]} times"))
        elif index in run_lengths:
            detail = f"{path} was written {run_lengths[index]} times, its numbers counting on"
            repairs.append(Repair("loop", detail))
    return tuple(kept), repairs


def _runs_of_objects(objects: Sequence[CaptionObject]) -> Iterator[list[int]]:
    """Yield the indexes of objects that count on: same kind of shape, same words in the desc."""
    indexes: dict[tuple[str, int, tuple[str, ...]], list[int]] = {}
    rows: dict[tuple[str, int, tuple[str, ...]], list[Numbers]] = {}
    for index, item in enumerate(objects):
        coordinates, desc = to_numbers(item.shape), _split_numbers(item.desc)
        key = (shape_key(item.shape), len(coordinates), desc.words)
        indexes.setdefault(key, []).append(index)
        rows.setdefault(key, []).append((*coordinates, *desc.numbers))
    for key, alike in indexes.items():
        for run in _find_runs(rows[key]):
            yield [alike[index] for index in run]


def _split_numbers(text: str) -> _Template:
    return _Template(tuple(_NUMBER.split(text)), tuple(map(int, _NUMBER.findall(text))))


def _find_runs(rows: Sequence[Numbers]) -> Iterator[Sequence[int]]:
    """Find runs of rows that differ by one number alone, or grow by the same step each time.

    Shape: rows of equal length in; the indexes of each run out.
    """
    steps = [
        tuple(later - sooner for sooner, later in zip(row, following, strict=True))
        for row, following in pairwise(rows)
    ]
    for feature, min_length in ((_only_changed, ONE_NUMBER_LOOP), (_nonzero_step, EVEN_LOOP)):
        start = 0
        for shared, group in groupby(steps, feature):
            length = sum(1 for _ in group)
            if shared is not None and length + 1 >= min_length:
                yield range(start, start + length + 1)
            start += length


def _only_changed(step: Numbers) -> int | None:
    """Return the index of the only number that changes."""
    changed = [index for index, change in enumerate(step) if change]
    return changed[0] if len(changed) == 1 else None


def _nonzero_step(step: Numbers) -> Numbers | None:
    return step if any(step) else None
