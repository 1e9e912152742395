"""Options of how much a run does and which observers watch it, and what runs take of them."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from shenhe.cli.reuse import earlier_option
from shenhe.cli.values import ByteSize
from shenhe.errors import needs, spelled
from shenhe.options import Count, Whole, option, option_class
from shenhe.printable import on_one_line, show

if TYPE_CHECKING:
    from shenhe.config import Missions, Teaching
    from shenhe.formats.text_formats import TextFormats
    from shenhe.intake import GroupChoice, TreeLayout
    from shenhe.intake.choice import Chosen
    from shenhe.rows.promises import Fingerprint
    from shenhe.runs import RunOptions, VerdictPolicy
    from shenhe.runs.observers import Observer

DATA_ROOT_HELP = "photos as DIR/<mission>/{审核通过|审核不通过}/<group>/<photo>; a folder, or a URL"
ROWS_HELP = "where rows go"


@option_class
class WorkOptions:
    """Amount of work, form of the files and observers; only `max_attempts` decides rows."""

    limit: Count | None = option(
        "do at most so many groups, of each label in turn",
        default=None,
        metavar="N",
    )
    max_attempts: Count = option("asks of a malformed answer", default=3, metavar="N")
    restart: bool = option("begin anew; earlier files are set aside, not deleted", default=False)
    dry_run: bool = option("say what would be done, and do nothing", default=False)
    ordered: bool = option(
        "rows in the order of the groups, whichever is answered first", default=False
    )
    shard_size: ByteSize | None = option(
        "go on in another file past it: MB, GB, MiB or GiB; default: one file",
        default=None,
        metavar="SIZE",
    )
    parquet: bool = option("write rows as Parquet too, when all of them are there", default=False)
    metrics_port: Annotated[int, Whole(1, 65535)] | None = option(
        "serve counts to Prometheus, on loopback", default=None, metavar="N"
    )
    traces: bool = option(
        "send OpenTelemetry traces to where OTEL_EXPORTER_OTLP_ENDPOINT says", default=False
    )
    log_file: Path | None = option(
        "append a log to it, one JSON object a line", default=None, metavar="FILE"
    )


@option_class
class PhotoWorkOptions(WorkOptions):
    """The same, for photos and lists of them."""

    limit: Count | None = option(
        "do at most so many photos or lists of them", default=None, metavar="N"
    )


@option_class
class TreeOptions:
    """How a photo tree is laid out, where not as usual."""

    label_folders: Path | None = option(
        "further names of label folders (TOML): pass, fail, unlabelled = [...]",
        default=None,
        metavar="FILE",
    )
    group_pattern: str | None = option(
        "photos beside the groups' folders are of the group that (?P<group>...) finds in their"
        " names",
        default=None,
        metavar="REGEX",
    )


@option_class
class ChoiceOptions:
    """Which groups are looked at."""

    sample: Count | None = option(
        "look at so many groups of each mission, chosen by the seed, in proportion to the labels",
        default=None,
        metavar="N",
    )
    sample_failed: Annotated[int, Whole(0)] | None = option(
        "so many of the sample are failed groups", default=None, metavar="N"
    )
    exclude: tuple[Path, ...] = option(
        "leave out the groups that a list names: id or id::label a line, CSV or JSONL",
        default=(),
        metavar="FILE",
    )


@option_class
class StandingOptions:
    """What a verdict must meet to stand."""

    pass_above: float | None = option(
        "通过 stands where its probability is at least this, else the group is undecided",
        default=None,
        metavar="P",
    )
    fail_below: float | None = option(
        "不通过 stands where the probability of 通过 is at most this", default=None, metavar="P"
    )
    promise: Path | None = option(
        "通过 stands by the thresholds of a promise, which must be of this checkpoint, prompt,"
        " engine and evidence; what `promise` wrote",
        default=None,
        metavar="FILE",
    )
    evidence: bool = option(
        "hold 通过 to the evidence rules of its mission; without them a reason that contradicts"
        " 通过 still holds it back",
        default=True,
    )

    reused: Literal["told", "undecided"] = option(
        "a group whose photo another work order has too, or nearly: told of, or undecided",
        default="told",
    )
    earlier: tuple[Path, ...] = earlier_option()


@option_class
class PolicyOptions(StandingOptions):
    """The same, and votes."""

    votes: Count = option(
        "ask so often, all but the first with sampling; more than half must agree",
        default=1,
        metavar="N",
    )


@option_class
class TeachingOptions:
    """Files of examples and rules that go into the prompts."""

    examples: Path | None = option(
        "worked examples that are shown before each question (TOML)", default=None, metavar="FILE"
    )
    guidance: Path | None = option(
        "written rules of missions: TOML, or the JSON guidance of an older pipeline",
        default=None,
        metavar="FILE",
    )


def run_options(work: WorkOptions) -> RunOptions:
    """Make the options of a run; its observers watch until the process ends.

    Raises: UsageError for an observer that cannot be had.
    """
    from shenhe.runs import RunOptions

    return RunOptions(
        work.limit,
        work.restart,
        work.max_attempts,
        work.ordered,
        observers=() if work.dry_run else tuple(_observers(work)),
        shard_bytes=work.shard_size,
        parquet=_parquet_writer() if work.parquet else None,
    )


def layout_of(options: TreeOptions) -> TreeLayout:
    """Make the layout of a photo tree.

    Raises: ConfigError for a file that cannot be read, OptionError for a bad pattern.
    """
    from shenhe.config import load_label_folders
    from shenhe.intake import GroupPattern, TreeLayout

    pattern = None if options.group_pattern is None else GroupPattern(options.group_pattern)
    return TreeLayout(load_label_folders(options.label_folders), pattern)


def choice_of(options: ChoiceOptions, seed: int) -> GroupChoice:
    """Make the choice of groups.

    Raises: OptionError for a sample that cannot be; RunError for a list that cannot be read.
    """
    from shenhe.intake import GroupChoice
    from shenhe.rows.group_names import read_group_names

    exclude = read_group_names(options.exclude) if options.exclude else None
    return GroupChoice(options.sample, options.sample_failed, seed, exclude)


def tell_choice(
    choice: GroupChoice, chosen: Iterable[Chosen], known: Iterable[str], source: object
) -> None:
    """Say which groups were chosen, what a sample lacks, and which excluded ones are not there."""
    looked_at = []
    for each in chosen:
        looked_at.append(each.mission)
        for text in (each.describe(), choice.shortage(each)):
            if text:
                show(on_one_line(f"shenhe: {text}"), file=sys.stderr)
    if choice.exclude is not None:
        elsewhere = [name for name in known if name not in looked_at]
        if missing := choice.exclude.describe_unmatched(elsewhere):
            warning = f"{spelled('exclude')}: not in {source}: {missing}"
            show(on_one_line(f"shenhe: warning: {warning}"), file=sys.stderr)


def verdict_policy(options: StandingOptions, votes: int = 1) -> VerdictPolicy:
    """Make the policy of verdicts.

    Raises: OptionError for thresholds outside 0 to 1, in the wrong order, or beside those of a
    promise; RunError for a promise that cannot be read, or an earlier run without rows.
    """
    from shenhe.rows.photo_marks import find_earlier
    from shenhe.rows.promises import read_promise
    from shenhe.runs import VerdictPolicy

    promise = read_promise(options.promise) if options.promise else None
    for run in options.earlier:
        find_earlier(run)  # one without rows is told of now, not after hours
    return VerdictPolicy(
        options.pass_above,
        options.fail_below,
        votes,
        options.evidence,
        promise,
        options.reused,
        options.earlier,
    )


def check_promise(
    options: StandingOptions, policy: VerdictPolicy, actual: Mapping[str, Fingerprint]
) -> None:
    """Refuse a promise that was made for other verdicts, and name the missions that have none.

    Raises: UsageError that names every difference.
    """
    from shenhe.rows.promise_fingerprints import refuse_others
    from shenhe.runs.deciding import find_promised

    if policy.promise is None or options.promise is None:
        return
    refuse_others(policy.promise, options.promise, actual)
    for name in actual:
        promised = find_promised(policy.promise, name)
        if promised is None or promised.threshold is None:
            warning = f"shenhe: warning: nothing is promised of {name}: no 通过 of it will stand"
            show(on_one_line(warning), file=sys.stderr)


def teaching_of(teaching: TeachingOptions, missions: Missions, formats: TextFormats) -> Teaching:
    """Load the examples and rules that the options name, answered in the formats.

    Raises: ConfigError.
    """
    from shenhe.config import load_teaching

    return load_teaching(teaching.examples, teaching.guidance, missions, formats)


def _parquet_writer() -> Callable[[Path], object]:
    with needs("parquet"):
        from shenhe.rows.parquet import write_parquet
    return write_parquet


def _observers(work: WorkOptions) -> Iterator[Observer]:
    """Make the observers; their libraries are imported only when an option needs them.

    Raises: UsageError for one that cannot be started.
    """
    if work.log_file is not None:
        from shenhe.runs.observers.json_log import JsonLog

        yield JsonLog(work.log_file)
    if work.metrics_port is not None:
        with needs("metrics"):
            from shenhe.runs.observers.metrics import Metrics
        yield Metrics(work.metrics_port)
    if work.traces:
        with needs("metrics"):
            from shenhe.runs.observers.tracing import Tracing
        tracing = Tracing()
        atexit.register(tracing.close)
        yield tracing
