"""Forty command lines and all that they say and write, in one text, to compare two versions by.

    python -m bench.session before.txt         # in a checkout of the older version
    python -m bench.session after.txt          # in this one
    diff before.txt after.txt

What time, place and chance decide is blanked: times, rates, temporary paths, free memory.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import shenhe

DEMO = Path(shenhe.__file__).parent / "demo"
PHOTOS, MISSION = "photos", "挡风板安装检查"
MODEL = ["--model", "demo", "--adapters", "demo", "--dtype", "float32"]
BASE = [*MODEL, "--seed", "7"]
COMMANDS: list[list[str]] = [
    ["--help"],
    *([name, "--help"] for name in ("run", "caption", "doctor", "merge", "review", "infer")),
    ["evaluate", "verdicts", "--help"],
    ["--version"],
    ["demo", "--output-dir", "demo-run"],
    ["status", "demo-run"],
    ["fsck", "demo-run", "--dry-run"],
    ["report", "demo-run", "--max-groups", "3"],
    ["evaluate", "verdicts", "demo-run", "--json", "verdicts.json", "--max-false-pass", "0.2"],
    ["run", *BASE, "--data-root", PHOTOS, "--output-dir", "run", "--dry-run"],
    [
        *("run", *BASE, "--data-root", PHOTOS, "--mission", MISSION, "--output-dir", "run"),
        *("--votes", "3", "--pass-above", "0.6", "--ordered", "--shard-size", "20KB"),
    ],
    ["run", *MODEL, "--data-root", PHOTOS, "--mission", MISSION, "--output-dir", "run"],
    ["run", *BASE, "--data-root", PHOTOS, "--mission", MISSION, "--output-dir", "run", "--votes=3"],
    [
        *("summarize", *BASE, "--data-root", PHOTOS, "--mission", MISSION),
        *("--output-dir", "stage_a", "--limit", "2"),
    ],
    ["summarize", *BASE, "--data-root", PHOTOS, "--mission", MISSION, "--output_dir", "stage_a"],
    ["summarize", *BASE, "--data-root", PHOTOS, "--mission", "没有的任务", "--output-dir", "x"],
    ["judge", *BASE, "--stage-a", "stage_a", "--output-dir", "stage_b", "--max-new-tokens", "64"],
    ["judge", *BASE, "--stage-a", "stage_a", "--output-dir", "stage_b", "--max-new-tokens", "65"],
    ["judge", *BASE, "--stage-a", "nowhere", "--output-dir", "stage_b"],
    ["caption", f"{PHOTOS}/{MISSION}", *BASE, "--output", "captions.jsonl", "--draw", "overlays"],
    ["caption", "nowhere.jpg", *BASE, "--output", "none.jsonl"],
    [
        *("evaluate", "captions", "--predictions", "captions.jsonl", "--truth", "captions.jsonl"),
        *("--json", "captions.json"),
    ],
    ["convert", "captions.jsonl", "--format", "coco", "--output", "coco.json"],
    ["convert", "captions.jsonl", "--format", "labelme", "--output", "labelme"],
    ["convert", "captions.jsonl", "--format", "nothing", "--output", "labelme"],
    ["check", "caption", "captions.jsonl"],
    ["check", "verdict", "demo-run/stage_b/BBU接地线检查.jsonl"],
    ["chat", *BASE, "--prompt", "图片里有什么", "--image", f"{PHOTOS}/photo.jpeg", "--no-stream"],
    [
        "infer",
        *BASE,
        "--prompt",
        "你好",
        "--stream",
        "true",
        "--max_new_tokens",
        "16",
        "--odd",
        "1",
    ],
    ["merge", *MODEL, "--output-dir", "merged"],
    ["merge", *MODEL, "--output-dir", "merged"],
    ["verify", "merged", "--against", "demo", "--adapters", "demo", "--dtype", "float32"],
    ["doctor", "--model", "merged", "--no-load", "--data-root", PHOTOS, "--run", "demo-run"],
    ["review", "run", "--export", "exported", "--reviewer", "reviewer"],
    ["run", *BASE, "--data-root", "nowhere", "--output-dir", "run2"],
    ["run", "--model", "demo"],
    ["run", *BASE, "--engine", "server", "--data-root", PHOTOS, "--output-dir", "run3"],
    ["run", *BASE, "--quantize", "int4", "--data-root", PHOTOS, "--output-dir", "run3"],
    ["run", *BASE, "--temperature", "-1", "--data-root", PHOTOS, "--output-dir", "run3"],
    ["run", *BASE, "--max-pixels", "9", "--data-root", PHOTOS, "--output-dir", "run3"],
]
BLANKED = (
    (r"\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-][\d:]+)?", "TIME"),
    (r'"(id|seconds|photos_per_second|tokens_per_second|began|pid|session|host|elapsed\w*|eta\w*)"'
     r": (?:[\d.e+-]+|\"[^\"]*\")", r'"\1": BLANK'),
    (r"\d+(?:\.\d+)? ?(?:s|ms|min|h|GB|MB|GiB|MiB)\b", "AMOUNT"),
    (r"\d+(?:\.\d+)?(?= (?:photos|captions|groups|tokens|verdicts|lines)(?:/s| a second))", "RATE"),
    (r"\b[0-9a-f]{32,64}\b", "HASH"),
    (r'("inputs_hash":"[0-9a-f]+\.)[0-9a-f]+', r"\1TIMES"),
    (r"│ +\d+\.\d │", "│ RATE │"),
    (r"\r[^\n]*", ""),
    (r"[^\n]* AMOUNT left\n", ""),
)  # fmt: skip
"""What differs between two runs of one version, and what is put in its place."""
WRITTEN = ("*.jsonl", "*.json")


def main() -> int:
    """Run the commands, write what they said and wrote."""
    folder = Path(tempfile.gettempdir()) / "shenhe-session"  # names of exports hash the path
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shutil.copytree(DEMO / "photos", folder / PHOTOS)
    shutil.copyfile(min(DEMO.rglob("img-*.jpeg")), folder / PHOTOS / "photo.jpeg")
    parts = [_said(words, folder) for words in COMMANDS]
    written = (path for pattern in WRITTEN for path in sorted(folder.rglob(pattern)))
    parts += [
        f"=== {path.relative_to(folder)}\n{_lines(path, folder)}"
        for path in written
        if "merged" not in path.parts
    ]
    Path(sys.argv[1]).write_text("\n".join(parts), encoding="utf-8")
    shutil.rmtree(folder)
    return 0


def _said(words: list[str], folder: Path) -> str:
    run = subprocess.run(
        [sys.executable, "-m", "shenhe", *words],
        cwd=folder,
        env=os.environ | {"COLUMNS": "100", "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    print(run.returncode, " ".join(words), file=sys.stderr)
    return (
        f"=== shenhe {' '.join(words)}\n--- exit {run.returncode}\n--- stdout\n"
        f"{_blank(run.stdout, folder)}\n--- stderr\n{_blank(run.stderr, folder)}"
    )


def _lines(path: Path, folder: Path) -> str:
    text = path.read_text(encoding="utf-8")
    rows = text.splitlines() if path.suffix == ".jsonl" else [json.dumps(json.loads(text))]
    return "\n".join(sorted(_blank(row, folder) for row in rows))


def _blank(text: str, folder: Path) -> str:
    text = text.replace(str(folder), "FOLDER").replace(str(DEMO), "DEMO")
    for pattern, stand_in in BLANKED:
        text = re.sub(pattern, stand_in, text)
    return text


if __name__ == "__main__":
    sys.exit(main())
