"""What the doctor looks at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shenhe.config import Missions, Prompts
from shenhe.engines.base import EngineSpec
from shenhe.locations import Location


@dataclass(frozen=True, slots=True)
class Subject:
    """A checkpoint as it would be run, and what it would be run on.

    `photos` are asked about; `other` is what answers are compared with, where that is wanted.
    """

    spec: EngineSpec
    prompts: Prompts
    missions: Missions
    photos: tuple[Location, ...]
    max_new_tokens: int
    data_root: Location | None = None
    max_photos: int = 2000
    run_dir: Path | None = None
    other: EngineSpec | None = None
    load: bool = True
