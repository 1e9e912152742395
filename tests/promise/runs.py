"""Runs written for tests: verdict rows, Stage-A rows, decisions."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from shenhe.row_types import SummaryRow, VerdictRow
from shenhe.rows.decision_rows import Decision, Opinion
from shenhe.rows.decisions import Decisions
from shenhe.values import FAIL, PASS, group_key

MISSION, OTHER = "BBU接地线检查", "挡风板安装检查"
TIME = "2026-01-05T08:00:00.000000Z"
Json = dict[str, object]


def verdict_row(
    number: int,
    label: str | None,
    log_odds: float | None = 0.0,
    verdict: str | None = PASS,
    mission: str = MISSION,
    why: Iterable[str] = (),
    items: Iterable[Json] = (),
    **extra: object,
) -> Json:
    """A row as `judge` writes it; what holds a 通过 back stands in `why`."""
    ruling = verdict or PASS
    meta: Json = {"prompt_hash": "p1", "checkpoint": "c1", "answers": {}, "why": list(why)}
    meta |= {
        "ruling": ruling,
        "log_odds": log_odds,
        "evidence": {"rules": "e1", "items": list(items)},
    }
    return {
        "group_id": f"QC-{number:07d}",
        "mission": mission,
        "label": label,
        "verdict": verdict,
        "reason": "螺丝符合要求",
        "p_pass": None,
        "status": "decided" if verdict else "undecided",
        "raw": f"{ruling}\n理由: 螺丝符合要求",
        "timestamp": TIME,
        "meta": meta,
        **({"extra": extra} if extra else {}),
    }


def failed_rows(count: int, slips: Iterable[float], first: int = 0, **fields: object) -> list[Json]:
    """So many groups that people failed; the model passes some, with these log-odds."""
    slips = list(slips)
    passed = [verdict_row(first + n, "fail", odds, **fields) for n, odds in enumerate(slips)]  # type: ignore[arg-type]
    stopped = [
        verdict_row(first + n, "fail", -3.0, FAIL, **fields)  # type: ignore[arg-type]
        for n in range(len(slips), count)
    ]
    return passed + stopped


def good_rows(count: int, first: int = 50_000, **fields: object) -> list[Json]:
    """So many groups that people passed, and the model too, with log-odds of 0.0 to 9.9."""
    return [verdict_row(first + n, "pass", n % 100 / 10, **fields) for n in range(count)]  # type: ignore[arg-type]


def write_run(folder: Path, rows: Iterable[Json], photos: Mapping[str, list[str]] = {}) -> Path:
    """Write verdict rows, and Stage-A rows for groups with photos, by their ids."""
    rows = list(rows)
    for mission in {str(row["mission"]) for row in rows}:
        own = [row for row in rows if row["mission"] == mission]
        _write(folder / "stage_b" / f"{mission}.jsonl", map(VerdictRow.model_validate, own))
        summaries = [_summary(row, photos[str(row["group_id"])]) for row in own if photos]
        if summaries:
            _write(folder / "stage_a" / f"{mission}.jsonl", summaries)
    return folder


def _summary(row: Json, images: list[str]) -> SummaryRow:
    lines = {f"图片_{n + 1}": "螺丝" for n in range(len(images))}
    fields = {name: row[name] for name in ("group_id", "mission", "label", "timestamp")}
    meta = {"prompt_hash": "p1", "checkpoint": "c1", "answers": {}}
    return SummaryRow.model_validate(fields | {"images": images, "per_image": lines, "meta": meta})


def _write(path: Path, rows: Iterable[SummaryRow | VerdictRow]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{row.to_json()}\n" for row in rows), encoding="utf-8")


def decide(run_dir: Path, row: Json, choice: str, **opinion: object) -> None:
    """Write a person's decision on the group of a row."""
    label = row["label"]
    assert label in ("pass", "fail", None)
    Decisions(run_dir).add(
        Decision.model_validate(
            {
                "key": group_key(str(row["mission"]), label, str(row["group_id"])),
                "group_id": row["group_id"],
                "mission": row["mission"],
                "label": label,
                "verdict": row["verdict"],
                "version": 1,
                "said": Opinion.model_validate({"choice": choice} | opinion),
                "reviewer": "李工",
                "at": "2026-11-20T09:00:00.000000Z",
            }
        )
    )


def write_lines(path: Path, rows: Iterable[Json]) -> Path:
    """Write rows of any form."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")
    return path
