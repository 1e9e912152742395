"""Time and memory of `shenhe decide` over a large run: a million groups of three photos.

    python -m bench.decide --folder SOMEWHERE [--rows 1000000]

Writes a run in the field's style: labels and reasons nearly all differ, a tenth of the verdicts
stands in another order than the lines. Then decides it three times: at first, so that the lines are
copied; with another threshold; without evidence. Prints a table in Markdown, with the peak of
memory above that of the same command over one group.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from shenhe.config import load_missions
from shenhe.rows.verdict_inputs import hash_inputs
from shenhe.values import FAIL, PASS, photo_key

MISSION = "挡风板安装检查"
PHOTOS = 3
BRANDS = ("华为", "中兴", "爱立信")
ITEMS = (
    "BBU设备/{brand},显示完整,机柜空间充足需要安装,这个BBU设备按要求配备了挡风板×1",
    "挡风板/{brand},显示完整,安装方向正确×1",
    "螺丝、光纤插头/BBU安装螺丝,符合要求×{count}",
    "光纤/有保护措施,弯曲半径合理/蛇形管×{count}",
    "标签/NR{code}-{brand}-{count}F×1",
)
REMARKED = 0.17
"""Share of lines with a remark."""
REASONS = (
    "图片_{photo}中BBU设备机柜空间充足，按要求配备了挡风板，安装方向正确，标签NR{code}清晰",
    "图片_{photo}显示BBU设备完整，编号{code}，挡风板安装方向正确，符合要求",
    "图片_{photo}中未配备挡风板，编号{code}",
)
RUN = """
import resource, sys, time
began = time.perf_counter()
from shenhe.cli.main import exit_code
assert exit_code(["decide", *sys.argv[1:]]) in (0, 1)
children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print("measured", time.perf_counter() - began, (own + children) / 1000)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    large, small = options.folder / "run", options.folder / "small"
    write(large, options.rows)
    write(small, 1)
    _, start = _decide(small, options.folder / "small-anew")
    files = sorted(large.rglob("*.jsonl"))
    size = sum(path.stat().st_size for path in files) / 1e9
    print(
        f"{options.rows:,} groups, {size:.1f} GB of rows; the command itself takes {start:.0f} MB"
    )
    print("\n| | seconds | groups a second | MB above the start |\n|---|---|---|---|")
    for name, more in (
        ("at first", []),
        ("another threshold", ["--pass-above", "0.9"]),
        ("without evidence", ["--no-evidence"]),
    ):
        seconds, memory = _decide(large, options.folder / "anew", *more)
        rate = options.rows / seconds
        print(f"| {name} | {seconds:.1f} | {rate:,.0f} | {memory - start:.0f} |")


def write(run: Path, count: int) -> None:
    """Write the rows of both stages as runs do."""
    rules = load_missions().get(MISSION).evidence
    assert rules is not None
    chance = random.Random(0)
    for stage in ("stage_a", "stage_b"):
        (run / stage).mkdir(parents=True, exist_ok=True)
    verdicts: list[str] = []
    with (
        (run / "stage_a" / f"{MISSION}.jsonl").open("w", encoding="utf-8") as stage_a,
        (run / "stage_b" / f"{MISSION}.jsonl").open("w", encoding="utf-8") as stage_b,
    ):
        for number in range(count):
            row = _summary(number, chance)
            stage_a.write(_json(row))
            verdicts.append(_json(_verdict(row, rules.hash, chance)))
            if len(verdicts) == 1000 or number == count - 1:
                if chance.random() < 0.1:
                    chance.shuffle(verdicts)
                stage_b.writelines(verdicts)
                verdicts.clear()


def _summary(number: int, chance: random.Random) -> dict[str, object]:
    group_id = f"QC-20260105-{number:07d}"
    folder = f"/data/photos/{MISSION}/审核通过/{group_id}"
    lines = {photo_key(index): "，".join(_items(chance)) for index in range(PHOTOS)}
    return {
        "group_id": group_id,
        "mission": MISSION,
        "label": "pass" if chance.random() < 0.8 else "fail",
        "images": [f"{folder}/img-{index + 1:03d}.jpeg" for index in range(PHOTOS)],
        "per_image": lines,
        "timestamp": "2026-01-05T08:00:00.000000Z",
        "meta": _meta({key: _answer(line, [1024, 768]) for key, line in lines.items()}),
    }


def _items(chance: random.Random) -> Iterator[str]:
    brand = chance.choice(BRANDS)
    for index in sorted(chance.sample(range(len(ITEMS)), chance.randint(1, 4))):
        code, count = chance.randint(1000, 9_999_999), chance.choice((1, 1, 1, 2, 2, 3))
        yield ITEMS[index].format(brand=brand, code=code, count=count)
    if chance.random() < REMARKED:
        yield f"BBU设备/{brand},只显示部分/需复核备注:无法判断品牌×1"


def _verdict(
    summary: dict[str, object], rules_hash: str, chance: random.Random
) -> dict[str, object]:
    reason = REASONS[2 if summary["label"] == "fail" else chance.randint(0, 1)]
    reason = reason.format(photo=chance.randint(1, PHOTOS), code=chance.randint(1000, 9_999_999))
    ruling = FAIL if summary["label"] == "fail" and chance.random() < 0.9 else PASS
    raw = f"{ruling}\n理由: {reason}"
    p_pass = chance.uniform(0.5, 1.0) if ruling == PASS else chance.uniform(0.0, 0.5)
    further = {"ruling": ruling, "log_odds": None, "promise": None}
    evidence = {"rules": rules_hash, "items": []}
    meta = _meta({"verdict": _answer(raw, None)}, hash_inputs(summary))
    return {
        **{name: summary[name] for name in ("group_id", "mission", "label")},
        "verdict": ruling,
        "reason": reason,
        "p_pass": p_pass,
        "status": "decided",
        "raw": raw,
        "timestamp": "2026-01-05T09:00:00.000000Z",
        "meta": meta | further | {"evidence": evidence},
    }


def _meta(answers: dict[str, object], inputs_hash: str = "a.b.c") -> dict[str, object]:
    made_by = {"schema": 1, "prompt_hash": "0123456789abcdef", "checkpoint": "0123456789abcdef"}
    return {**made_by, "inputs_hash": inputs_hash, "left_out": [], "why": [], "answers": answers}


def _answer(raw: str, size: list[int] | None) -> dict[str, object]:
    facts = {"damaged_inside": None} if size else None
    counts = {"attempts": 1, "prompt_tokens": 900, "new_tokens": 60, "repairs": []}
    sizes = {"original_wh": size, "resized_wh": size, "facts": facts}
    return {"raw": raw, "finish_reason": "stop", **counts, **sizes}


def _json(row: dict[str, object]) -> str:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n"


def _decide(run: Path, output: Path, *more: str) -> tuple[float, float]:
    """Decide in a process of its own. Units: seconds, MB."""
    command = [sys.executable, "-c", RUN, str(run), "--output-dir", str(output), *more]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, memory = done.stdout.split("measured")[1].split()
    return float(seconds), float(memory)


if __name__ == "__main__":
    main()
