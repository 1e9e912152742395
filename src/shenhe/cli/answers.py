"""`shenhe answers`: rows from the answers of a batch service."""

from __future__ import annotations

import sys
from pathlib import Path

from shenhe.cli.results import print_counts, print_faults
from shenhe.options import argument, option, option_class
from shenhe.printable import show

MAX_NAMED = 5


@option_class
class AnswersOptions:
    """Options of reading a batch service's answers."""

    answers: tuple[Path, ...] = argument(
        "ANSWERS.jsonl", "what the service wrote, its errors too; in any order, some or all of it"
    )
    requests: Path = option("what `requests` wrote, its first file", metavar="FILE.jsonl")
    output_dir: Path = option("where rows go", metavar="DIR")


def answers(options: AnswersOptions) -> int:
    """Write the rows of all that is answered; what is not fails, until its answer is there."""
    from shenhe.cli.batch import codec_of, works_of
    from shenhe.engines.recorded import RecordedEngine, read_answers
    from shenhe.rows.keys import failures_file, rows_file
    from shenhe.runs.batch import index_path, read_settings, run_recorded

    settings = read_settings(options.requests)
    codec, checkpoint = codec_of(settings)
    recorded = read_answers(index_path(options.requests), options.answers)
    engine = RecordedEngine(recorded, codec, settings.model, checkpoint)
    code = print_faults(recorded.faults)
    if recorded.unknown:
        names = ", ".join(recorded.unknown[:MAX_NAMED])
        show(f"  {len(recorded.unknown)} answers to what was not asked: {names}", file=sys.stderr)
        code = 1
    for name, work in works_of(settings, checkpoint):
        path = rows_file(options.output_dir, name)
        counts = run_recorded(engine, work, path, settings.engine_options)  # type: ignore[misc]
        unit = work.item_unit
        code = max(code, print_counts(work.title, unit, counts, failures_file(path)))
    return code
