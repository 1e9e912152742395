"""`shenhe doctor`: every check, as lines or as JSON."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from shenhe.cli.loading import LoadOptions, engine_spec_of, max_new_tokens, quiet_transformers
from shenhe.cli.probes import choose_photos
from shenhe.cli.results import print_finding
from shenhe.cli.values import PhotoLocation
from shenhe.cli.work import DATA_ROOT_HELP, TreeOptions, layout_of
from shenhe.engines.options import LocalOptions, OpenvinoOptions, ServerOptions
from shenhe.errors import OptionError, spelled
from shenhe.options import Count, Name, option, option_class, section
from shenhe.printable import json_line, on_one_line, show_data, worded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shenhe.doctor import Diagnosis, Subject
    from shenhe.engines.base import EngineSpec
    from shenhe.engines.options import EngineOptions

PHOTOS = 4


@option_class
class DoctorOptions:
    """Options of the checks."""

    load_options: LoadOptions = section("model")
    data_root: PhotoLocation | None = option(DATA_ROOT_HELP, default=None, metavar="DIR")
    layout: TreeOptions = section("photo tree", default=TreeOptions())
    max_photos: Count = option("open so many of the tree", default=2000, metavar="N")
    run: Path | None = option("look at what a run wrote, too", default=None, metavar="RUN_DIR")
    compare: Name | None = option(
        "a checkpoint that should answer the same", default=None, metavar="MODEL"
    )
    compare_adapters: tuple[Name, ...] = option(
        "its adapters; without them and --compare: none", default=(), metavar="A"
    )
    photos: tuple[PhotoLocation, ...] = option(
        "ask about these; default: some of the bundled ones",
        default=(),
        metavar="PATH",
        gathering="last",
    )
    max_new_tokens: Count = max_new_tokens(512)
    load: bool = option("load the model and ask it; without, only look", default=True)
    json: bool = option("write one JSON object instead of lines", default=False)


def doctor(options: DoctorOptions) -> int:
    """Run the checks and print what they find; exit 1 when one finds an error."""
    quiet_transformers()
    from shenhe.doctor import diagnose

    diagnoses = diagnose(_subject(options))
    return _print_json(diagnoses) if options.json else _print_lines(diagnoses)


def _subject(options: DoctorOptions) -> Subject:
    from shenhe.config import load_formats, load_missions, load_prompts
    from shenhe.doctor import Subject
    from shenhe.engines.base import is_for

    load = options.load_options
    spec = engine_spec_of(load)
    if load.devices:
        problem = f"doctor loads the model once: {spelled('device', 'cuda:0')}"
        raise OptionError("devices", ",".join(load.devices), problem)
    if not (
        is_for(spec, LocalOptions) or is_for(spec, OpenvinoOptions) or is_for(spec, ServerOptions)
    ):
        problem = "doctor looks at checkpoints here, or at a server"
        raise OptionError("engine", load.engine, problem)
    compare_with = _compared(options, spec)
    formats = load_formats(load.config.formats)
    return Subject(
        spec,
        load_prompts(load.config.prompts, formats),
        load_missions(load.config.missions),
        tuple(choose_photos(options.photos, PHOTOS)),
        options.max_new_tokens,
        options.data_root,
        options.max_photos,
        options.run,
        compare_with,
        options.load,
        formats,
        layout=layout_of(options.layout),
    )


def _compared(
    options: DoctorOptions, spec: EngineSpec[EngineOptions]
) -> EngineSpec[LocalOptions] | None:
    """Find the checkpoint that should answer the same, before a model is loaded."""
    from shenhe.checkpoints import find_adapter, find_checkpoint
    from shenhe.engines.base import is_for

    if not (options.compare or options.compare_adapters):
        return None
    if not is_for(spec, LocalOptions):
        problem = "looks inside both checkpoints, which the local engine alone can"
        raise OptionError("compare", None, problem)
    model = options.compare or spec.model
    find_checkpoint(model)
    for adapter in options.compare_adapters:
        find_adapter(adapter)
    return replace(spec, model=model, adapters=options.compare_adapters)


def _print_lines(diagnoses: Iterable[Diagnosis]) -> int:
    code, previous = 0, ""
    for diagnosis in diagnoses:
        finding = diagnosis.finding
        name = "" if diagnosis.check == previous else diagnosis.check
        previous = diagnosis.check
        print_finding(finding.level, finding.message, before=f"{name:10} ")
        if finding.remedy:
            show_data(on_one_line(f"{'':18} -> {worded(finding.remedy)}"))
        code = 1 if finding.level == "error" else code
    return code


def _print_json(diagnoses: Iterable[Diagnosis]) -> int:
    from shenhe.row_types import SCHEMA

    checks = [
        {
            "check": diagnosis.check,
            "level": diagnosis.finding.level,
            "what": diagnosis.finding.message,
            "remedy": diagnosis.finding.remedy,
        }
        for diagnosis in diagnoses
    ]
    is_bad = any(check["level"] == "error" for check in checks)
    print(json_line({"schema": SCHEMA, "ok": not is_bad, "checks": checks}, indent=2))
    return int(is_bad)
