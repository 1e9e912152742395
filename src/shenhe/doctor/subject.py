"""Input of the checks: a checkpoint, its options, and the photos and rows to check with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from shenhe.config import Missions, Prompts
from shenhe.engines.base import EngineSpec, is_for
from shenhe.engines.options import LocalOptions, OpenvinoOptions, ServerOptions
from shenhe.formats.text_formats import PLAIN, TextFormats
from shenhe.intake import TreeLayout
from shenhe.locations import Location


@dataclass(frozen=True, slots=True)
class Subject:
    """A checkpoint as a run would load it, and the data that a run would read.

    The model answers for `photos`; with `compare_with`, an engine of that spec does too.
    `max_photos` bounds the sample that is opened from `data_root`. `formats` are those that texts
    are read in.

        Subject(spec, load_prompts(), load_missions(), photos=(), max_new_tokens=2048, load=False)
    """

    spec: EngineSpec[LocalOptions] | EngineSpec[OpenvinoOptions] | EngineSpec[ServerOptions]
    prompts: Prompts
    missions: Missions
    photos: tuple[Location, ...]
    max_new_tokens: int
    data_root: Location | None = None
    max_photos: int = 2000
    run_dir: Path | None = None
    compare_with: EngineSpec[LocalOptions] | None = None
    load: bool = True
    formats: TextFormats = PLAIN
    layout: TreeLayout = field(default_factory=TreeLayout)

    @property
    def local(self) -> EngineSpec[LocalOptions]:
        """The spec of a checkpoint that the local engine runs.

        Raises: TypeError for another engine.
        """
        if is_for(self.spec, LocalOptions):
            return self.spec
        raise TypeError("another engine runs the checkpoint")

    @property
    def exported(self) -> EngineSpec[OpenvinoOptions]:
        """The spec of an exported checkpoint that OpenVINO runs in this process.

        Raises: TypeError for another engine.
        """
        if is_for(self.spec, OpenvinoOptions):
            return self.spec
        raise TypeError("no OpenVINO runs the checkpoint")

    @property
    def server(self) -> EngineSpec[ServerOptions]:
        """The spec of a server.

        Raises: TypeError for an engine in this process.
        """
        if is_for(self.spec, ServerOptions):
            return self.spec
        raise TypeError("no server runs the checkpoint")
