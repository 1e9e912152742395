"""What makes the verdicts that a run is about to write, which its promise must bind."""

from __future__ import annotations

from collections.abc import Mapping

from shenhe.config import Mission, Prompts, Template
from shenhe.engines.base import Engine
from shenhe.formats.text_formats import PLAIN, TextFormats
from shenhe.rows.promise_fingerprints import fingerprint_of_options, options_of_output
from shenhe.rows.promises import Fingerprint
from shenhe.runs.deciding import policy_of_mission
from shenhe.runs.engine_options import with_budget
from shenhe.runs.stage_a import options_of_summaries
from shenhe.runs.stage_a_source import StageASource
from shenhe.runs.stage_b import options_of_verdicts
from shenhe.runs.verdict_policy import VerdictPolicy
from shenhe.stages import verdict


def fingerprint_of_judging(
    source: StageASource,
    template: Template,
    policy: VerdictPolicy,
    engine: Engine,
    engine_options: Mapping[str, object],
    max_new_tokens: int = verdict.MAX_NEW_TOKENS,
    formats: TextFormats = PLAIN,
) -> Fingerprint:
    """Make the fingerprint of verdicts on rows of Stage-A that are there.

    Raises: RunError for a manifest or a row that cannot be read.
    """
    engine_options = with_budget(engine_options, engine)
    stage_b = _verdict_options(source.mission, template, policy, engine, max_new_tokens, formats)
    return fingerprint_of_options({**engine_options, **stage_b}, options_of_output(source.path))


def fingerprint_of_running(
    mission: Mission,
    prompts: Prompts,
    policy: VerdictPolicy,
    engine: Engine,
    engine_options: Mapping[str, object],
    formats: TextFormats = PLAIN,
) -> Fingerprint:
    """Make the fingerprint of the verdicts of a run of both stages, before it begins."""
    engine_options = with_budget(engine_options, engine)
    summaries = options_of_summaries(
        prompts.summary.hash(mission), engine.fingerprint, formats=formats
    )
    tokens = verdict.MAX_NEW_TOKENS
    stage_b = _verdict_options(mission, prompts.verdict, policy, engine, tokens, formats)
    return fingerprint_of_options({**engine_options, **stage_b}, {**engine_options, **summaries})


def _verdict_options(
    mission: Mission,
    template: Template,
    policy: VerdictPolicy,
    engine: Engine,
    tokens: int,
    formats: TextFormats,
) -> dict[str, object]:
    of_mission = policy_of_mission(policy, mission.name, mission.evidence)
    return options_of_verdicts(
        of_mission, template.hash(mission), engine.fingerprint, tokens, formats
    )
