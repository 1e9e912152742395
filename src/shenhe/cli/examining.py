"""`shenhe doctor`: every check, as lines or as JSON."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from shenhe.cli.composing import (
    MARKS,
    adapters_of,
    photos_to_ask_about,
    quiet_transformers,
    spec_of,
)
from shenhe.config import load_missions, load_prompts
from shenhe.engines.base import is_for
from shenhe.engines.options import LocalOptions, ServerOptions
from shenhe.errors import OptionError
from shenhe.printable import json_line, on_one_line, show
from shenhe.row_types import SCHEMA

PHOTOS = 4


def doctor(options: argparse.Namespace) -> int:
    """Run the checks and print what they find; exit 1 when one finds an error."""
    quiet_transformers()
    from shenhe.doctor import Subject, diagnose

    spec = spec_of(options)
    if not (is_for(spec, LocalOptions) or is_for(spec, ServerOptions)):
        problem = "doctor looks at checkpoints here, or at a server"
        raise OptionError("engine", options.engine, problem)
    other = None
    if options.compare or options.compare_adapters:
        if not is_for(spec, LocalOptions):
            problem = "looks inside both checkpoints, which no server lets it do"
            raise OptionError("compare", None, problem)
        other = replace(
            spec,
            model=options.compare or spec.model,
            adapters=adapters_of(options, "compare_adapters"),
        )
    subject = Subject(
        spec,
        load_prompts(options.prompts),
        load_missions(options.missions),
        tuple(photos_to_ask_about(options.photos, PHOTOS)),
        options.max_new_tokens,
        options.data_root,
        options.max_photos,
        options.run,
        other,
        options.load,
    )
    found: list[dict[str, Any]] = []
    last = ""
    for diagnosis in diagnose(subject):
        finding = diagnosis.finding
        row = {"check": diagnosis.check, "level": finding.level}
        found.append(row | {"what": finding.message, "remedy": finding.remedy})
        if options.json:
            continue
        name = "" if diagnosis.check == last else diagnosis.check
        last = diagnosis.check
        show(on_one_line(f"{name:10} {MARKS[finding.level]} {finding.message}"))
        if finding.remedy:
            show(on_one_line(f"{'':18} -> {finding.remedy}"))
    bad = any(one["level"] == "error" for one in found)
    if options.json:
        content = {"schema": SCHEMA, "ok": not bad, "checks": found}
        print(json_line(content, indent=2))
    return int(bad)
