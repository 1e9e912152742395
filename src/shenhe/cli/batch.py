"""What `requests` and `answers` share: the works of their settings, and the codec of a service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from shenhe.cli.work import TeachingOptions, teaching_of
from shenhe.errors import OptionError, RunError, spelled

if TYPE_CHECKING:
    from shenhe.config import Mission, Missions, Prompts, Template
    from shenhe.engines.server.codec import Codec
    from shenhe.formats.text_formats import TextFormats
    from shenhe.runs.batch import BatchSettings
    from shenhe.runs.captions import CaptionWork
    from shenhe.runs.stage_a import SummaryWork
    from shenhe.runs.stage_a_source import StageASource
    from shenhe.runs.stage_b import VerdictWork

    AnyWork = SummaryWork | VerdictWork | CaptionWork


def works_of(settings: BatchSettings, checkpoint: str) -> Iterator[tuple[str, AnyWork]]:
    """Yield each work of a stage, with the name of its rows.

    Raises: OptionError for a mission that a stage needs or does not take; IntakeError, RunError,
    ConfigError for inputs that cannot be read.
    """
    from shenhe.config import load_formats, load_missions, load_prompts

    formats = load_formats(settings.formats)
    prompts = load_prompts(_path(settings.prompts), formats)
    if settings.stage == "caption":
        yield "captions", _captions(settings, checkpoint, prompts, formats)
        return
    missions = load_missions(_path(settings.missions))
    files = TeachingOptions(examples=_path(settings.examples), guidance=_path(settings.guidance))
    teaching = teaching_of(files, missions, formats)
    if settings.stage == "summarize":
        if settings.mission is None:
            raise OptionError("mission", None, f"goes with {spelled('stage', 'summarize')}")
        mission = missions.get(settings.mission)
        template = teaching.apply(prompts, mission).summary
        yield mission.name, _summaries(settings, checkpoint, mission, template, formats)
        return
    for source in _sources(settings, missions):
        template = teaching.apply(prompts, source.mission).verdict
        yield source.mission.name, _verdicts(settings, checkpoint, source, template, formats)


def _captions(
    settings: BatchSettings, checkpoint: str, prompts: Prompts, formats: TextFormats
) -> CaptionWork:
    from shenhe.intake import PhotoLists
    from shenhe.locations import locate
    from shenhe.runs.captions import CaptionWork, PhotosBacklog

    lists = PhotoLists([locate(settings.source)])
    backlog = PhotosBacklog(lists, lists.passed_over, lists.faults)
    tokens, frame = settings.max_new_tokens, settings.coordinates
    return CaptionWork(backlog, prompts.caption, frame, None, tokens, checkpoint, formats)


def _summaries(
    settings: BatchSettings,
    checkpoint: str,
    mission: Mission,
    template: Template,
    formats: TextFormats,
) -> SummaryWork:
    from shenhe.intake import PhotoTree
    from shenhe.locations import locate
    from shenhe.runs.stage_a import GroupBacklog, SummaryWork

    backlog = GroupBacklog(PhotoTree(locate(settings.source)), mission)
    return SummaryWork(backlog, template, settings.max_new_tokens, checkpoint, formats)


def _sources(settings: BatchSettings, missions: Missions) -> list[StageASource]:
    from shenhe.runs import find_stage_a

    only = missions.get(settings.mission).name if settings.mission else None
    found = find_stage_a(Path(settings.source), missions)
    sources = [source for source in found if only in (None, source.mission.name)]
    if not sources:
        raise RunError(f"{settings.source}: no rows; `shenhe summarize` or `answers` writes them")
    return sources


def _verdicts(
    settings: BatchSettings,
    checkpoint: str,
    source: StageASource,
    template: Template,
    formats: TextFormats,
) -> VerdictWork:
    from shenhe.runs import VerdictPolicy
    from shenhe.runs.deciding import policy_of_mission
    from shenhe.runs.stage_b import VerdictWork
    from shenhe.runs.summary_backlog import SummaryBacklog

    policy, mission = VerdictPolicy(votes=settings.votes), source.mission
    of_mission = policy_of_mission(policy, mission.name, mission.evidence)
    backlog = SummaryBacklog(source, policy)
    tokens = settings.max_new_tokens
    return VerdictWork(backlog, template, of_mission, tokens, checkpoint, formats)


def codec_of(settings: BatchSettings, *, local_media: bool = False) -> tuple[Codec, str]:
    """Make the codec of a service, and the fingerprint of the checkpoint behind it.

    Raises: CheckpointError for a folder that is no checkpoint; OptionError.
    """
    from dataclasses import replace

    from shenhe.checkpoints.inspect import find_checkpoint, fingerprint
    from shenhe.checkpoints.processor import read_budget
    from shenhe.engines.base import EngineSpec
    from shenhe.engines.options import ServerOptions
    from shenhe.engines.recorded import DIALECTS
    from shenhe.engines.server.codec import Codec
    from shenhe.photos import PixelBudget
    from shenhe.secrecy import Secrets

    budget, checkpoint = PixelBudget(), f"batch:{settings.model}"
    if settings.processor is not None:
        files = find_checkpoint(settings.processor)
        budget, checkpoint = read_budget(files), fingerprint(files)
    if settings.max_pixels is not None:
        least = min(budget.min_pixels, settings.max_pixels)
        budget = PixelBudget(least, settings.max_pixels)
    dialect = DIALECTS[settings.dialect]
    if not settings.constrain:
        dialect = replace(dialect, form=None)
    # No server is asked: the address is that of nobody.
    server = ServerOptions(base_url="http://localhost/v1", local_media=local_media)
    spec = EngineSpec(model=settings.model, max_pixels=settings.max_pixels, engine=server)
    return Codec(spec, settings.model, dialect, budget, Secrets()), checkpoint


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
