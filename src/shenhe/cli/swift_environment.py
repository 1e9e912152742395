"""Environment variables of ms-swift: budget and processes are honoured, others are named."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final, NamedTuple

from shenhe.errors import OptionError, UsageError, spelled

TOKEN_PIXELS: Final = 32 * 32
"""Area of one token of an image of Qwen3-VL. Units: pixels."""
_NO_MINIMUM: Final = "the least pixels of a photo stay the checkpoint's"
_NO_VIDEO: Final = "no videos are read"
_MEANINGLESS: Final[Mapping[str, str]] = {
    "MIN_PIXELS": _NO_MINIMUM,
    "IMAGE_MIN_TOKEN_NUM": _NO_MINIMUM,
    "QWENVL_BBOX_FORMAT": "boxes of a question are not filled in",
    **dict.fromkeys(
        (
            *("VIDEO_MAX_PIXELS", "VIDEO_MIN_PIXELS", "VIDEO_TOTAL_PIXELS", "FPS"),
            *("VIDEO_MAX_TOKEN_NUM", "VIDEO_MIN_TOKEN_NUM", "FPS_MAX_FRAMES", "FPS_MIN_FRAMES"),
        ),
        _NO_VIDEO,
    ),
}


class SwiftEnvironment(NamedTuple):
    """What the environment asks for: a pixel budget, or None; processes, one a device; notes on the
    rest of it."""

    max_pixels: int | None
    processes: int
    notes: tuple[str, ...]


def read_environment(environ: Mapping[str, str], model_kwargs: str | None) -> SwiftEnvironment:
    """Read the variables of ms-swift; `model_kwargs` is JSON that sets further ones.

    IMAGE_MAX_TOKEN_NUM comes before MAX_PIXELS, which counts in whole tokens.

    >>> read_environment({"MAX_PIXELS": "1003520"}, None).max_pixels
    1003520
    >>> read_environment({"MAX_PIXELS": "1004000"}, '{"image_max_token_num": 80}').max_pixels
    81920

    Raises: UsageError for a value that is no number, and for several machines.
    """
    values = {**environ, **_model_kwargs(model_kwargs)}
    notes = [
        f"{name} means nothing here: {why}" for name, why in _MEANINGLESS.items() if name in values
    ]
    if _number(values, "NNODES") > 1:
        engine = spelled("engine", "ray")
        raise UsageError(f"NNODES: each machine would do all rows; {engine} shares them out")
    tokens = _number(values, "IMAGE_MAX_TOKEN_NUM")
    tokens = tokens or _number(values, "MAX_PIXELS") // TOKEN_PIXELS
    if not tokens and values.get("MAX_PIXELS"):
        raise UsageError("MAX_PIXELS: must be at least 1024 (32 x 32)")
    processes = max(1, _number(values, "NPROC_PER_NODE"))
    return SwiftEnvironment(tokens * TOKEN_PIXELS or None, processes, tuple(notes))


def _number(values: Mapping[str, str], name: str) -> int:
    """Read a whole number; 0 where there is none."""
    text = values.get(name, "").strip()
    if not text:
        return 0
    if not text.isdecimal() or len(text) > 12:
        raise UsageError(f"{name}: {text[:40]!a} is no whole number")
    return int(text)


def _model_kwargs(text: str | None) -> dict[str, str]:
    if text is None:
        return {}
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise OptionError("model_kwargs", None, f"is no JSON: {error}") from error
    if not isinstance(values, dict):
        raise OptionError("model_kwargs", None, "is no JSON object")
    return {name.upper(): str(value) for name, value in values.items()}
