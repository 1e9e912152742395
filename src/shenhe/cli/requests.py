"""`shenhe requests`: the requests of a stage as files for a batch service."""

from __future__ import annotations

import os
from itertools import chain
from pathlib import Path
from typing import Annotated, Literal

from shenhe.cli.caption import Coordinates, coordinates_option
from shenhe.cli.loading import ConfigOptions
from shenhe.cli.results import print_faults
from shenhe.cli.values import ByteSize, PhotoLocation
from shenhe.cli.work import TeachingOptions
from shenhe.options import Count, Name, Whole, argument, option, option_class, section
from shenhe.printable import show

MAX_NEW_TOKENS = {"summarize": 512, "judge": 128, "caption": 2048}
BATCH_BYTES = 200_000_000
"""What OpenAI's service takes."""


@option_class
class RequestsOptions:
    """Options of requests for a batch service."""

    source: PhotoLocation = argument(
        "SOURCE", "summarize: a photo tree; judge: rows of Stage-A; caption: photos or a list"
    )
    stage: Literal["summarize", "judge", "caption"] = option("what is asked")
    model: Name = option("the model's name at the service", metavar="NAME")
    output: Path = option("where requests go", metavar="FILE.jsonl")
    mission: str | None = option(
        "the mission's name; judge: default: all that have rows", default=None, metavar="NAME"
    )
    dialect: Literal["openai", "vllm", "vllm-guided", "sglang", "lmdeploy"] = option(
        "how the service is told to hold answers to a format; vllm-guided: vLLM before 0.11;"
        " openai: not at all",
        default="vllm",
    )
    processor: Name | None = option(
        "the checkpoint's folder: its pixel budget, and its fingerprint for the rows",
        default=None,
        metavar="DIR",
    )
    max_pixels: Annotated[int, Whole(1024)] | None = option(
        "pixel budget of a photo; default: that of the processor", default=None, metavar="N"
    )
    constrain: bool = option("hold answers to their format", default=True)
    local_media: bool = option(
        "the service shares this disk: name photos that need no turning and no resizing",
        default=False,
    )
    max_new_tokens: Count | None = option(
        "limit of one answer; default: 512, 128 or 2048 by the stage", default=None, metavar="N"
    )
    votes: Count = option(
        "judge: ask so often, all but the first with sampling", default=1, metavar="N"
    )
    coordinates: Coordinates = coordinates_option()
    shard_size: ByteSize = option(
        "go on in another file past it, or past 50,000 requests",
        default=BATCH_BYTES,
        metavar="SIZE",
        default_text="200MB",
    )
    limit: Count | None = option("write at most so many", default=None, metavar="N")
    overwrite: bool = option("replace the output if it exists", default=False)
    teaching: TeachingOptions = section(default=TeachingOptions())
    config: ConfigOptions = section("prompts", default=ConfigOptions())


def requests(options: RequestsOptions) -> int:
    """Write the requests of a stage, and what `answers` needs to read their answers."""
    from shenhe.cli.batch import codec_of, works_of
    from shenhe.locations import absolute, location_text
    from shenhe.runs.batch import BatchSettings, jobs_of, write_requests

    files = options.config
    settings = BatchSettings(
        stage=options.stage,
        source=location_text(absolute(options.source)),
        mission=options.mission,
        model=options.model,
        processor=_absolute(options.processor) if options.processor != "demo" else "demo",
        dialect=options.dialect,
        max_new_tokens=options.max_new_tokens or MAX_NEW_TOKENS[options.stage],
        max_pixels=options.max_pixels,
        constrain=options.constrain,
        votes=options.votes,
        coordinates=options.coordinates,
        prompts=_absolute(files.prompts),
        missions=_absolute(files.missions),
        formats=os.path.abspath(files.formats) if Path(files.formats).is_file() else files.formats,
        examples=_absolute(options.teaching.examples),
        guidance=_absolute(options.teaching.guidance),
    )
    codec, checkpoint = codec_of(settings, local_media=options.local_media)
    jobs = [jobs_of(work) for _, work in works_of(settings, checkpoint)]  # type: ignore[misc]
    written = write_requests(
        chain.from_iterable(jobs),
        codec,
        options.output,
        settings,
        shard_bytes=options.shard_size,
        limit=options.limit,
        overwrite=options.overwrite,
    )
    show(f"{written.requests} requests: {', '.join(map(str, written.files))}")
    return print_faults(written.faults)


def _absolute(path: str | Path | None) -> str | None:
    return None if path is None else os.path.abspath(path)
