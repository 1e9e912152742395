"""`shenhe serve --canary`: a running service tries another checkpoint, and takes it or not."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from shenhe.cli.loading import LoadOptions, model_of_args
from shenhe.cli.served_model import check_checkpoint
from shenhe.cli.work import PolicyOptions
from shenhe.errors import OptionError, RunError, spelled
from shenhe.options import Count, option, option_class
from shenhe.printable import on_one_line, show

if TYPE_CHECKING:
    from shenhe.service.canary import CanaryOrder, CanaryOutcome
    from shenhe.service.pipeline import Pipeline, ServedModel
    from shenhe.service.store import JobStore

TAKEN_UP_SECONDS = 10.0
POLL_SECONDS = 0.5


@option_class
class CanaryOptions:
    """How another checkpoint is held against the one that serves."""

    canary: bool = option(
        "have the service that runs on --data try the checkpoint of --model and --adapters: load"
        " it beside its own, in twice the memory, compare their verdicts, and take it over or"
        " refuse it with the reason; then leave",
        default=False,
    )
    canary_limit: float = option(
        "refuse it where more than this share of the groups that were 不通过 would be 通过",
        default=0.0,
        metavar="SHARE",
    )
    canary_newest: Count = option(
        "compare the newest decided groups, so many", default=200, metavar="N"
    )
    canary_set: Path | None = option(
        "compare the groups that a file names instead: the id of a job a line, or rows with mission"
        " and group_id",
        default=None,
        metavar="FILE",
    )


def try_checkpoint(
    options: CanaryOptions, load: LoadOptions, policy: PolicyOptions, data_dir: Path
) -> int:
    """Order the running service to try a checkpoint, and print what became of it.

    Returns 0 if it was taken over, 1 if it was refused.
    Raises: OptionError; CheckpointError; RunError if no service runs there.
    """
    from shenhe.service.canary import CanaryOrder, new_order_id, order_canary

    if not 0 <= options.canary_limit <= 1:
        raise OptionError("canary_limit", options.canary_limit, "must be from 0 to 1")
    load = replace(load, model=model_of_args(load.model, load.adapters))
    check_checkpoint(load)
    order = CanaryOrder(
        id=new_order_id(),
        model=_absolute(load.model),
        adapters=tuple(map(_absolute, load.adapters)),
        promise=str(policy.promise.absolute()) if policy.promise else None,
        newest=options.canary_newest,
        held=str(options.canary_set.absolute()) if options.canary_set else None,
        limit=options.canary_limit,
    )
    order_canary(data_dir, order)
    show("both models are in memory until it is taken over or refused", file=sys.stderr)
    outcomes = _wait(data_dir, order.id)
    for outcome in outcomes:
        _print(outcome)
    if all(outcome.state == "taken_over" for outcome in outcomes):
        adapters = [spelled("adapters", adapter) for adapter in load.adapters]
        named = " ".join([spelled("model", load.model), *adapters])
        show(f"start the service with {named} from now on", file=sys.stderr)
        return 0
    return 1


@contextmanager
def heeding_canaries(
    data_dir: Path,
    pipeline: Pipeline,
    store: JobStore,
    load: LoadOptions,
    policy: PolicyOptions,
    load_model: Callable[[LoadOptions, PolicyOptions], ServedModel],
) -> Iterator[None]:
    """Carry out orders to try another checkpoint meanwhile."""
    from shenhe.service.bell import read_last_end
    from shenhe.service.canary import CanaryWatch

    def load_other(order: CanaryOrder) -> ServedModel:
        promise = Path(order.promise) if order.promise else policy.promise
        model = replace(load, model=order.model, adapters=order.adapters)
        return load_model(model, replace(policy, promise=promise))

    watch = CanaryWatch(data_dir, pipeline, store, lambda: read_last_end(store), load_other)
    watch.start()
    try:
        yield
    finally:
        watch.stop()


def _wait(data_dir: Path, order_id: str) -> list[CanaryOutcome]:
    """Wait until every process that has taken up the order has carried it out.

    Raises: RunError if none takes it up.
    """
    from shenhe.service.canary import read_outcomes

    end = time.monotonic() + TAKEN_UP_SECONDS
    told = 0
    while True:
        time.sleep(POLL_SECONDS)
        outcomes = list(read_outcomes(data_dir, order_id))
        if outcomes and all(outcome.is_over or _is_gone(outcome) for outcome in outcomes):
            return outcomes
        if not outcomes and time.monotonic() > end:
            raise RunError(f"{data_dir}: no process of a service with a model runs there")
        done = sum(outcome.done for outcome in outcomes)
        if done > told:
            told = done
            total = sum(outcome.total for outcome in outcomes)
            show(f"compared {done} of {total} groups", file=sys.stderr)


def _is_gone(outcome: CanaryOutcome) -> bool:
    """Whether the process died over it, as far as this machine can tell."""
    import psutil

    host, _, pid = outcome.worker.rpartition("-")
    return host == platform.node() and not psutil.pid_exists(int(pid))


def _print(outcome: CanaryOutcome) -> None:
    from shenhe.cli.tables import print_table
    from shenhe.rows.words import GROUPS, UNDECIDED, Words

    now, other = Words("现有模型", "this checkpoint"), Words("新模型", "the other one")
    undecided = UNDECIDED.spoken()
    rows = [
        (before or undecided, after or undecided, f"{count:,}")
        for before, after, count in sorted(outcome.pairs, key=str)
    ]
    if rows:
        print_table([words.spoken() for words in (now, other, GROUPS)], rows, left=2)
    for group in outcome.newly_passed:
        show(on_one_line(f"不通过 -> 通过: {group}"))
    if outcome.state == "taken_over":
        show(f"{outcome.worker}: checkpoint {outcome.checkpoint} has taken over")
    else:
        reason = outcome.reason or "the process ended meanwhile"
        show(on_one_line(f"{outcome.worker}: refused: {reason}"))


def _absolute(model: str) -> str:
    """Name a folder so that the service, which may run elsewhere, finds it."""
    return str(Path(model).absolute()) if Path(model).exists() else model
