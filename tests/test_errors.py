"""The wall of a run: what a foreign library raises over one item costs that item alone."""

from __future__ import annotations

import errno
import pickle
from pathlib import Path

import pytest

from shenhe.errors import (
    ConflictError,
    DamagedRowError,
    ItemError,
    OptionError,
    PhotoError,
    ShenheError,
    UsageError,
    item_wall,
)


class Surprise(Exception):
    """An exception that no library is known to raise."""


@pytest.mark.parametrize(
    "error", [ValueError("a\nb"), Surprise(), RecursionError(), OSError(5, "io")]
)
def test_whatever_is_raised_is_the_items_error(error: BaseException) -> None:
    with pytest.raises(PhotoError) as caught, item_wall("unreadable", "a.jpg", PhotoError):
        raise error
    assert caught.value.code == "unreadable"
    assert str(caught.value).startswith(f"a.jpg: {type(error).__name__}: ")
    assert "\n" not in str(caught.value)


def test_memory_has_a_code_of_its_own() -> None:
    with pytest.raises(ItemError) as caught, item_wall("unreadable", "a.jpg"):
        raise MemoryError
    assert caught.value.code == "out_of_memory"


@pytest.mark.parametrize(
    "error", [UsageError("x"), KeyboardInterrupt(), OSError(errno.ENOSPC, "full"), SystemExit(2)]
)
def test_what_is_no_items_error_passes(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, item_wall("unreadable", "a.jpg"):
        raise error
    assert caught.value is error


def test_long_words_are_cut() -> None:
    with pytest.raises(ItemError) as caught, item_wall("unreadable", "a.jpg"):
        raise ValueError("x" * 100_000)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "error",
    [
        OptionError("quantize", "int4", "use int8"),
        DamagedRowError(Path("out/a.jsonl"), 3, "is no JSON", zeroed=True),
        ConflictError("key", "decided meanwhile"),
        UsageError("--limit: too much"),
    ],
)
def test_every_error_travels_between_processes(error: ShenheError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert (str(copy), vars(copy)) == (str(error), vars(error))


def test_an_items_error_travels_between_processes() -> None:
    error = pickle.loads(pickle.dumps(PhotoError("missing", "a.jpg: no such file")))
    assert isinstance(error, PhotoError)
    assert (error.code, str(error)) == ("missing", "a.jpg: no such file")
