"""The model of a service, and the rules by which it makes rows: from the options of `serve`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from shenhe.cli.loading import (
    LOADING,
    LoadOptions,
    decisive_options,
    engine_spec_of,
    quiet_transformers,
)
from shenhe.cli.work import (
    PolicyOptions,
    TeachingOptions,
    check_promise,
    teaching_of,
    verdict_policy,
)
from shenhe.engines.options import LocalOptions
from shenhe.errors import needs, spelled
from shenhe.printable import show

if TYPE_CHECKING:
    from collections.abc import Callable

    from shenhe.config import Missions
    from shenhe.engines.base import Engine
    from shenhe.rows.promises import Fingerprint
    from shenhe.runs.deciding import FindsReuse
    from shenhe.service.chat.served import ChatModel, NamedModel
    from shenhe.service.judging import Rules
    from shenhe.service.pipeline import ServedModel

BATCH_SIZE = 64
"""Requests that keep an engine busy which does not say how many it takes at once."""


def load_served_model(
    load: LoadOptions,
    policy: PolicyOptions,
    teaching: TeachingOptions,
    missions: Missions,
    data_dir: Path,
    photos: FindsReuse | None = None,
) -> ServedModel:
    """Load the model and its rules; `photos` are those of all groups, to find used ones.

    Raises: ConfigError; OptionError; RunError or UsageError for a promise that cannot be read or is
    of other verdicts; CheckpointError, AdapterError or EngineError.
    """
    from shenhe.config import load_formats, load_prompts
    from shenhe.engines.create import create_engine
    from shenhe.runs.engine_options import with_budget
    from shenhe.service.hub import ModelHub
    from shenhe.service.judging import GroupJudge, Rules
    from shenhe.service.pipeline import ServedModel

    formats = load_formats(load.config.formats)
    prompts = load_prompts(load.config.prompts, formats)
    teacher = teaching_of(teaching, missions, formats)
    standing = verdict_policy(policy, policy.votes)
    spec = engine_spec_of(in_a_child(load))
    quiet_transformers()
    show(f"loading {load.model} ...", file=sys.stderr)
    engines = [create_engine(spec)]
    options = with_budget(decisive_options(load), engines[0])
    rules = Rules(missions, prompts, teacher, standing, options, formats)
    check_promise(policy, standing, _fingerprints(rules, engines[0]))
    # The hub makes another one only where this one dies.
    hub = ModelHub(lambda: engines.pop() if engines else create_engine(spec), BATCH_SIZE)
    return ServedModel(hub, GroupJudge(rules, hub.fingerprint, data_dir, photos), _name(load))


def _fingerprints(rules: Rules, engine: Engine) -> dict[str, Fingerprint]:
    """Give the fingerprint of the verdicts of each mission."""
    from shenhe.runs.promised import fingerprint_of_running

    return {
        mission.name: fingerprint_of_running(
            mission,
            rules.teaching.apply(rules.prompts, mission),
            rules.policy,
            engine,
            rules.engine_options,
            rules.formats,
        )
        for mission in rules.missions
    }


def check_checkpoint(load: LoadOptions) -> None:
    """Look for the files of a model on this machine before anything slow is begun.

    Raises: CheckpointError; AdapterError.

    Example:
        check_checkpoint(options.load)

    """
    if load.engine not in LOADING:
        return
    from shenhe.checkpoints.inspect import find_adapter
    from shenhe.engines.deferred import find_model

    find_model(engine_spec_of(load))
    for name in load.adapters:
        find_adapter(name)


def chat_model(load: LoadOptions, find_model: Callable[[], ServedModel]) -> ChatModel:
    """Describe the model for clients of chat, by the name of the folder of the one that answers.

    Raises: CheckpointError.
    """
    from shenhe.messages import Sampling
    from shenhe.service.chat.served import ChatModel

    sampling = Sampling(load.temperature, load.top_p, repetition_penalty=load.repetition_penalty)
    return ChatModel(_name(load), lambda: find_model().hub, sampling, lambda: find_model().named)


def _name(load: LoadOptions) -> NamedModel:
    """Name a checkpoint, with its budget of photos as far as that is known here.

    Raises: CheckpointError.
    """
    from shenhe.checkpoints.processor import read_budget
    from shenhe.engines.deferred import find_model
    from shenhe.photos import PixelBudget
    from shenhe.service.chat.served import NamedModel

    budget = None
    if load.engine in LOADING:
        own = read_budget(find_model(engine_spec_of(load)))
        budget = PixelBudget(own.min_pixels, load.max_pixels or own.max_pixels)
    return NamedModel(Path(load.model).name, budget)


def in_a_child(load: LoadOptions) -> LoadOptions:
    """Have a local model run in a process of its own: HTTP answers meanwhile, also if it dies.

    Example:
        spec = engine_spec_of(in_a_child(load))

    """
    if load.engine != "local" or load.devices:
        return load
    device = load.local.device
    if device == LocalOptions().device:
        with needs("local", f"{spelled('engine', 'local')}: "):
            import torch  # it alone knows what it can use

        device = "cuda:0" if torch.cuda.is_available() else "cpu"
    if device.partition(":")[0] not in ("cpu", "cuda"):
        return load
    local = replace(load.local, device=LocalOptions().device)
    return replace(load, devices=(device,), local=local)
