"""Run folders to review, written row by row like those of real runs, and a server for them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from shenhe.row_types import (
    AnswerMeta,
    CaptionMeta,
    CaptionRow,
    Evidence,
    RunMeta,
    SummaryRow,
    VerdictMeta,
    VerdictRow,
)
from shenhe.rows.decisions import Decisions
from shenhe.rows.keys import rows_file
from shenhe.values import FAIL, PASS, Label, Ruling, photo_key
from tests.conftest import MISSION
from tests.warm import SHENHE

META = RunMeta(prompt_hash="0" * 16, checkpoint="c" * 16, answers={})
VERDICT_META = VerdictMeta(prompt_hash="0" * 16, checkpoint="c" * 16, answers={})
LINE = "BBU设备/华为/显示完整/无需安装×1，螺丝、光纤插头/BBU安装螺丝/显示完整/符合要求×2"
TIME = "2026-11-20T08:00:00.000000Z"


class Group(NamedTuple):
    """Contents of the rows of a group."""

    group_id: str
    verdict: Ruling | None = PASS
    label: Label | None = None
    p_pass: float | None = 0.9
    reason: str = "图片_1显示BBU无需安装挡风板，符合要求"
    line: str = LINE
    mission: str = MISSION
    why: tuple[str, ...] = ()
    ruling: Ruling | None = None
    log_odds: float | None = None
    evidence: Evidence | None = None
    raw: str = ""
    extra: Mapping[str, Any] | None = None


def write_run(folder: Path, groups: Sequence[Group], photos: Sequence[Path]) -> Path:
    """Write the rows of both stages of groups that all have the same photos."""
    rows: dict[Path, list[str]] = {}
    images = [str(photo) for photo in photos]
    for group in groups:
        common = {"group_id": group.group_id, "mission": group.mission, "label": group.label}
        per_image = {photo_key(index): group.line for index in range(len(images))}
        summary = SummaryRow.model_validate(
            {**common, "images": images, "per_image": per_image, "timestamp": TIME, "meta": META}
        )
        verdict = VerdictRow.model_validate(
            {
                **common,
                "verdict": group.verdict,
                "reason": group.reason,
                "p_pass": group.p_pass,
                "status": "decided" if group.verdict else "undecided",
                "raw": group.raw,
                "timestamp": TIME,
                "meta": _verdict_meta(group),
                "extra": group.extra or {},
            }
        )
        rows.setdefault(rows_file(folder / "stage_a", group.mission), []).append(summary.to_json())
        rows.setdefault(rows_file(folder / "stage_b", group.mission), []).append(verdict.to_json())
    for path, lines in rows.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return folder


def _verdict_meta(group: Group) -> VerdictMeta:
    fields = {name: getattr(group, name) for name in ("ruling", "log_odds", "evidence")}
    return VERDICT_META.model_copy(update=fields | {"why": list(group.why)})


def write_captions(folder: Path, photos: Sequence[Path], desc: str = "BBU设备/华为") -> None:
    """Write a caption of two objects for each photo."""
    answer = AnswerMeta(raw="", finish_reason="stop", attempts=1, prompt_tokens=1, new_tokens=1)
    meta = CaptionMeta(
        prompt_hash="0" * 16,
        checkpoint="c" * 16,
        answers={"caption": answer},
        truncated=False,
        resized_wh=[(640, 512)],
    )
    objects: dict[str, Any] = {
        "object_1": {"bbox_2d": [100, 100, 500, 400], "desc": desc},
        "object_2": {"line": [10, 10, 700, 800], "line_points": 2, "desc": "电线/捆扎整齐"},
    }
    rows = (
        CaptionRow(
            images=[str(photo)],
            caption={"图片_1": objects},
            sizes_wh=[(640, 512)],
            raw="",
            repairs=[],
            timestamp=TIME,
            meta=meta,
        )
        for photo in photos
    )
    text = "".join(row.to_json() + "\n" for row in rows)
    (folder / "captions.jsonl").write_text(text, encoding="utf-8")


def thirty() -> list[Group]:
    """List thirty groups: five are judged against their label, two are undecided."""
    groups = [Group(f"QC-20261101-{n:07d}", label="pass", p_pass=0.99) for n in range(1, 24)]
    groups += [Group(f"QC-20261102-{n:07d}", label="fail", p_pass=0.7) for n in range(1, 6)]
    reason = "empty: the verdict is empty"
    groups += [Group(f"QC-20261103-{n:07d}", None, p_pass=None, reason=reason) for n in (1, 2)]
    return groups


class Served(NamedTuple):
    """A running server."""

    url: str
    process: subprocess.Popen[str]


def stored_shapes(run_dir: Path) -> dict[str, Any]:
    """Give the corrections of the last decision as its row holds them."""
    (decision, *_) = Decisions(run_dir).trail()
    assert decision.opinion is not None
    shapes = json.loads(decision.opinion.to_json())["shapes"]
    assert isinstance(shapes, dict)
    return shapes


@contextmanager
def served(run_dir: Path, *options: str, shenhe: Iterable[str] = SHENHE) -> Iterator[Served]:
    """Run `shenhe review` on a free port; with COLD it is a process that can be killed."""
    command = [*shenhe, "review", str(run_dir), "--port", "0", *options]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        match = re.search(r"http://\S+", line)
        assert match, line
        yield Served(match[0].rstrip("/"), process)
    finally:
        process.terminate()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


__all__ = [
    "FAIL",
    "PASS",
    "Group",
    "Served",
    "served",
    "stored_shapes",
    "thirty",
    "write_captions",
    "write_run",
]
