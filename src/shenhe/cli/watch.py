"""`shenhe watch`: what blind audits say of a promise in production; the alarm."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from shenhe.cli.databases import DatabaseOptions, follow_decisions
from shenhe.options import argument, option, option_class, section
from shenhe.printable import json_line, show

if TYPE_CHECKING:
    from shenhe.promise.watching import MissionWatch, Watch

COLUMNS = 150


@option_class
class WatchOptions:
    """Options of a watch."""

    run_dirs: tuple[Path, ...] = argument("RUN_DIR", "what `run` wrote; several weeks or missions")
    promise: Path | None = option(
        "what was promised, as `promise` wrote it; default: at most 0.05 pass, 0.95 sure",
        default=None,
        metavar="FILE",
    )
    json: Path | None = option("write the figures there too", default=None, metavar="FILE")
    html: Path | None = option("write a page for a manager", default=None, metavar="FILE")
    team: DatabaseOptions = section(default=DatabaseOptions())


def watch(options: WatchOptions) -> int:
    """Say whether the promise holds, as far as people have looked; 1 after an alarm."""
    from shenhe.promise.audit_rows import read_looks
    from shenhe.promise.watch_page import write_watch_page
    from shenhe.promise.watching import watch_audits
    from shenhe.rows.promises import read_promise

    follow_decisions(options.run_dirs, options.team)
    promise = None if options.promise is None else read_promise(options.promise)
    result = watch_audits(read_looks(options.run_dirs), promise)
    _print(result)
    if options.json is not None:
        _write_json(options.json, result)
    if options.html is not None:
        write_watch_page(options.html, result)
        show(f"page: {options.html}")
    return int(result.state == "stopped")


def _print(result: Watch) -> None:
    from shenhe.cli.tables import print_table, show_words
    from shenhe.promise.watch_words import advice, describe_rates, describe_used, headline
    from shenhe.promise.watch_words import mission_words as name_of
    from shenhe.rows.words import MISSION, Words

    head = (
        MISSION,
        Words("承诺至多", "promised"),
        Words("盲审/放行", "audited"),
        Words("不合格", "false"),
        Words("误放行", "of bad"),
        Words("至多", "at most"),
        Words("状态", "state"),
        Words("下周盲审", "next share"),
    )
    heads = [words.spoken("\n") for words in head]
    print_table(heads, (_row(each, result) for each in result.missions), width=COLUMNS)
    for each in result.missions:
        name, rates = name_of(each), describe_rates(each.audited, result.confidence)
        used = describe_used(each)
        zh, en = f"{name.zh}：{rates.zh}；{used.zh}", f"{name.en}: {rates.en}; {used.en}"
        show_words(Words(zh, en))
    for words in (headline(result), *advice(result)):
        show_words(words)
    reading = result.reading
    if reading.repeated:
        show(
            f"{reading.repeated:,} rows are of photos that were judged before by the same model and"
            " promise: the latest counts"
        )
    if reading.undated:
        show(f"{reading.undated:,} rows have no time: they count as a week before all others")


def _row(each: MissionWatch, result: Watch) -> tuple[str, ...]:
    from shenhe.promise.watch_words import state_words
    from shenhe.rows.words import ALL

    audited, share = each.audited, result.next_share(result.state_of(each))
    return (
        each.mission or ALL.spoken(),
        f"{each.limit:.1%}",
        f"{audited.looked:,}/{audited.passed:,}",
        f"{audited.false:,}",
        "-" if audited.of_bad is None else f"{audited.of_bad:.1%}",
        f"{audited.high:.1%}",
        state_words(result, each).spoken(),
        "-" if share is None else f"{share:.1%}",
    )


def _write_json(path: Path, result: Watch) -> None:
    from shenhe.files import whole_file

    figures = {
        "state": result.state,
        "limit": result.limit,
        "confidence": result.confidence,
        "promise": result.promise.hash if result.promise else None,
        "share": result.share,
        "next_share": result.next_share(result.state),
        "groups": result.reading.groups,
        "repeated": result.reading.repeated,
        "undated": result.reading.undated,
        "without_audit": [str(run_dir) for run_dir in result.reading.without_plan],
        "missions": [
            asdict(each)
            | {
                "state": result.state_of(each),
                "alarm_week": each.alarm_week or None,
                "proven": each.is_proven,
                "next_share": result.next_share(result.state_of(each)),
                "used": each.used._asdict(),
                "bands": [[week._asdict() for week in band] for band in each.bands],
                "weeks": [week._asdict() for week in each.weeks],
            }
            for each in result.missions
        ],
    }
    with whole_file(path) as temporary:
        temporary.write_text(json_line(figures, indent=2) + "\n", encoding="utf-8")
