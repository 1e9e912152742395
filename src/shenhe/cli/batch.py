"""What `requests` and `answers` share: the works of their settings, and the codec of a service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from shenhe.cli.work import TeachingOptions, teaching_of
from shenhe.errors import OptionError, RunError, spelled

if TYPE_CHECKING:
    from shenhe.engines.server.codec import Codec
    from shenhe.runs.batch import BatchSettings
    from shenhe.runs.captions import CaptionWork
    from shenhe.runs.stage_a import SummaryWork
    from shenhe.runs.stage_b import VerdictWork

    AnyWork = SummaryWork | VerdictWork | CaptionWork


def works_of(settings: BatchSettings, checkpoint: str) -> Iterator[tuple[str, AnyWork]]:
    """Yield each work of a stage, with the name of its rows.

    Raises: OptionError for a mission that a stage needs or does not take; IntakeError, RunError,
    ConfigError for inputs that cannot be read.
    """
    from shenhe.config import load_formats, load_missions, load_prompts
    from shenhe.intake import PhotoLists, PhotoTree
    from shenhe.locations import locate
    from shenhe.runs import VerdictPolicy, find_stage_a
    from shenhe.runs.captions import CaptionWork, PhotosBacklog
    from shenhe.runs.deciding import policy_of_mission
    from shenhe.runs.stage_a import GroupBacklog, SummaryWork
    from shenhe.runs.stage_a_source import SummaryBacklog
    from shenhe.runs.stage_b import VerdictWork

    formats = load_formats(settings.formats)
    prompts = load_prompts(_path(settings.prompts), formats)
    tokens = settings.max_new_tokens
    if settings.stage == "caption":
        lists = PhotoLists([locate(settings.source)])
        backlog = PhotosBacklog(lists, lists.passed_over, lists.faults)
        template = prompts.caption
        yield (
            "captions",
            CaptionWork(backlog, template, settings.coordinates, None, tokens, checkpoint, formats),
        )
        return
    missions = load_missions(_path(settings.missions))
    taught = TeachingOptions(examples=_path(settings.examples), guidance=_path(settings.guidance))
    teaching = teaching_of(taught, missions, formats)
    if settings.stage == "summarize":
        if settings.mission is None:
            raise OptionError("mission", None, f"goes with {spelled('stage', 'summarize')}")
        mission = missions.get(settings.mission)
        groups = GroupBacklog(PhotoTree(locate(settings.source)), mission)
        summary = teaching.apply(prompts, mission).summary
        yield mission.name, SummaryWork(groups, summary, tokens, checkpoint, formats)
        return
    wanted_mission = missions.get(settings.mission).name if settings.mission else None
    sources = find_stage_a(Path(settings.source), missions)
    sources = [source for source in sources if wanted_mission in (None, source.mission.name)]
    if not sources:
        raise RunError(f"{settings.source}: no rows; `shenhe summarize` or `answers` writes them")
    for source in sources:
        mission = source.mission
        policy = VerdictPolicy(votes=settings.votes)
        of_mission = policy_of_mission(policy, mission.name, mission.evidence)
        rows, verdict = SummaryBacklog(source, policy), teaching.apply(prompts, mission).verdict
        yield mission.name, VerdictWork(rows, verdict, of_mission, tokens, checkpoint, formats)


def codec_of(settings: BatchSettings, *, local_media: bool = False) -> tuple[Codec, str]:
    """Make the codec of a service, and the fingerprint of the checkpoint behind it.

    Raises: CheckpointError for a folder that is no checkpoint; OptionError.
    """
    from dataclasses import replace

    from shenhe.checkpoints.inspect import find_checkpoint, fingerprint, read_budget
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
