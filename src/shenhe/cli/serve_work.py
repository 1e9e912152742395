"""The model of `shenhe serve` at work: its jobs, its rows, and other checkpoints to try."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from shenhe.cli.loading import LoadOptions
from shenhe.cli.results import tell_without_rules
from shenhe.cli.serve_canary import heeding_canaries
from shenhe.cli.served_model import load_served_model
from shenhe.cli.work import PolicyOptions, TeachingOptions
from shenhe.printable import on_one_line, show

if TYPE_CHECKING:
    from shenhe.config import Missions
    from shenhe.service.pipeline import Pipeline, ServedModel
    from shenhe.service.store import JobStore


@contextmanager
def model_at_work(
    load: LoadOptions,
    policy: PolicyOptions,
    teaching: TeachingOptions,
    missions: Missions,
    data_dir: Path,
    store: JobStore,
) -> Iterator[Pipeline]:
    """Load the model, and have it work the jobs of a store meanwhile.

    Raises: ConfigError; OptionError; RunError; UsageError; CheckpointError, AdapterError or
    EngineError.
    """
    from shenhe.service.photo_reuse import PhotosOfJobs
    from shenhe.service.server import working

    for mission, count in store.waiting_by_mission().items():
        if missions.find(mission) is None:
            # They are no failures: whoever configures it again has them judged.
            line = f"mission {mission!r} is not configured here: {count} of its groups wait"
            show(on_one_line(line), file=sys.stderr)
    tell_without_rules(missions, evidence=policy.evidence)
    holds_reused = policy.reused == "undecided"
    opened = PhotosOfJobs(store.database, policy.earlier) if holds_reused else None
    with closing(opened) if opened else nullcontext() as photos:

        def load_model(load: LoadOptions, policy: PolicyOptions) -> ServedModel:
            return load_served_model(load, policy, teaching, missions, data_dir, photos)

        with (
            working(store, load_model(load, policy), data_dir, photos) as pipeline,
            heeding_canaries(data_dir, pipeline, store, load, policy, load_model),
        ):
            yield pipeline
