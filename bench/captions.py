"""How the time to read a caption grows with its length, for texts that keep the format and not.

    python -m bench.captions

A ratio of 8 is linear, 64 quadratic: the longer text has eight times the length of the shorter.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from functools import partial

from shenhe.errors import FormatError
from shenhe.formats import caption
from shenhe.formats.caption_recovery import recover
from shenhe.geometry import Box
from shenhe.values import Caption, CaptionObject

SHORT, TIMES = 50_000, 8
ROUNDS = 5
PIECES = ('"', "'", "{", "[", '{"图片_1": {"object_1": {', "(1,2),", '"\\', "a", "1", "-")


def main() -> None:
    print("| text | ms for 100,000 characters | ratio |\n|---|---|---|")
    for name, write in _texts().items():
        short, long = write(SHORT), write(SHORT * TIMES)
        per_character = _seconds(short) / len(short)
        growth = TIMES * _seconds(long) / len(long) / per_character
        print(f"| {name} | {per_character * 1e8:.1f} | {growth:.1f} |")


def _texts() -> dict[str, Callable[[int], str]]:
    """Texts by their length, as nearly as it can be had."""
    texts: dict[str, Callable[[int], str]] = {
        "grouped JSON": _grouped,
        "the same, cut": lambda length: _grouped(length)[:-5],
        "the same, in single quotes": lambda length: _grouped(length).replace('"', "'"),
    }
    for piece in PIECES:
        texts[f"`{piece}` again and again"] = partial(_again, piece)
    return texts


def _grouped(length: int) -> str:
    objects = tuple(
        CaptionObject(Box(at % 900, at // 900 % 900, at % 900 + 50, 950), "螺丝/符合要求")
        for at in range(length // 75)
    )
    return caption.render(Caption((objects,)))


def _again(piece: str, length: int) -> str:
    return piece * (length // len(piece))


def _seconds(text: str) -> float:
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        with contextlib.suppress(FormatError):
            recover(text, 1)
        taken.append(time.perf_counter() - began)
    return min(taken)


if __name__ == "__main__":
    main()
