"""The bound on false passes in one sentence: of the promise that decided, or as measured."""

from __future__ import annotations

from pathlib import Path

from shenhe.config.missions import normalize_name
from shenhe.errors import RunError, spelled
from shenhe.proportions import Share
from shenhe.report.reading import MissionTotals, SheetReading, sum_totals
from shenhe.rows.promises import Promise, read_promise
from shenhe.rows.words import Words

BASES = {
    "labels": Words("原人工结论", "the earlier human verdicts"),
    "decisions": Words("人工结论", "people's decisions in review"),
}


def find_promise(reading: SheetReading, path: Path | None) -> Promise | None:
    """Find the promise by which all groups that were read were decided; None without one.

    Default: RUN_DIR/promise.json, if that is it.
    Raises: RunError for a file that cannot be read, is no promise, or is not theirs.
    """
    is_named = path is not None
    path = path or reading.run_dir / "promise.json"
    if not is_named and not path.is_file():
        return None
    try:
        promise = read_promise(path)
    except RunError:
        if is_named:
            raise
        return None
    if set(reading.promises) == {promise.hash}:
        return promise
    if not is_named:
        return None
    hashes = ", ".join(each[:8] or "none" for each in reading.promises)
    raise RunError(
        f"{spelled('promise', path)} is {promise.hash[:8]}, but these groups were decided by"
        f" {hashes}: name that one, or choose groups that were decided by this"
    )


def describe_bound(reading: SheetReading, promise: Promise | None) -> Words:
    """Say how many of the groups that people fail the machine passes at most, in one sentence.

    Measured over all groups of the run that are of the sheet's missions.
    """
    if promise is not None:
        return _promised(promise, [normalize_name(name) for name in reading.totals])
    compared = sum_totals(reading.compared[name] for name in reading.totals)
    words = _measured(compared)
    hashes = [each[:8] for each in reading.promises if each]
    if not hashes:
        return words
    return Words(
        f"{words.zh}；其中 {_count_promised(reading):,} 组按承诺 {'、'.join(hashes)} 判定",
        f"{words.en}; {_count_promised(reading):,} groups were decided by promise"
        f" {', '.join(hashes)}",
    )


def _count_promised(reading: SheetReading) -> int:
    return sum(count for each, count in reading.promises.items() if each)


def _promised(promise: Promise, missions: list[str]) -> Words:
    share, sure = f"{100 * promise.max_false_pass:.3g}%", f"{100 * promise.confidence:.4g}%"
    bound = [each for name, each in promise.missions.items() if normalize_name(name) in missions]
    failed = f"{sum(each.failed for each in bound):,}"
    name = promise.hash[:8]
    return Words(
        f"误放行率上限：人工判不合格的组里，机器放行的不超过 {share}"
        f"（{sure} 把握；承诺 {name}，依据 {failed} 个人工判不合格的组）",
        f"Bound on false passes: of the groups that people fail, the machine passes at most {share}"
        f" ({sure} sure; promise {name}, which rests on {failed} failed groups)",
    )


def _measured(compared: MissionTotals) -> Words:
    by_label = compared.by_label.false_pass
    share = by_label if by_label.total else compared.by_decision.false_pass
    if not share.total:
        return Words(
            "误放行率上限：这些任务没有人工判不合格的组，说不出误放行率",
            "Bound on false passes: no group of these missions was failed by people, so nothing can"
            " be said",
        )
    return _at_most(share, BASES["labels" if by_label.total else "decisions"])


def _at_most(share: Share, basis: Words) -> Words:
    high = f"{share.interval()[1]:.1%}"
    total, count = f"{share.total:,}", f"{share.count:,}"
    return Words(
        f"误放行率上限：人工判不合格的 {total} 组里机器放行 {count} 组，误放行率至多 {high}"
        f"（95% 区间的上限；依据{basis.zh}，本次运行结果中这些任务的全部组）",
        f"Bound on false passes: of the {total} groups that people failed, the machine passed"
        f" {count}: at most {high} (upper end of the 95% interval; by {basis.en}, over all groups"
        " of these missions in the run)",
    )
