"""Input of the checks: a checkpoint, its options, and the photos and rows to check with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shenhe.config import Missions, Prompts
from shenhe.engines.base import EngineSpec
from shenhe.locations import Location


@dataclass(frozen=True, slots=True)
class Subject:
    """A checkpoint as a run would load it, and the data that a run would read.

    The model answers for `photos`; with `compare_with`, an engine of that spec does too.
    `max_photos` bounds the sample that is opened from `data_root`.

    Subject(spec, load_prompts(), load_missions(), photos=(), max_new_tokens=2048, load=False)
    """

    spec: EngineSpec
    prompts: Prompts
    missions: Missions
    photos: tuple[Location, ...]
    max_new_tokens: int
    data_root: Location | None = None
    max_photos: int = 2000
    run_dir: Path | None = None
    compare_with: EngineSpec | None = None
    load: bool = True
