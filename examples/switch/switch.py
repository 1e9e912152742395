"""A pipeline of older forms, taken over as it is: photos, rows, rules, training rows, a launcher.

    python examples/switch/switch.py OLD --model checkpoint --output-dir OUT

OLD holds what such a pipeline leaves behind, no file of it edited; what is absent is passed over:

    photos/<mission>/{审核通过|审核不通过}/<group>/<photo>
    launch.sh           calls scripts/stage_a_infer.sh with its settings in the environment
    guidance.json       rules by mission, as "experiences"
    stage_a/*.jsonl     archived lines, as <mission>_stage_a.jsonl
    stage_b/*.jsonl     archived verdicts, as text: `Verdict: 通过` and `Reason: ...`
    train.jsonl         training rows in pixels, with polygons, of the photos in train_photos/

OUT gets the list of photos to send back, a run of the model, the archive decided anew, captions
measured against the training rows; and for both a report and an evaluation. At the end the review
app is started on the run and asked for its first page.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

SCRIPTS = Path(__file__).parent.parent.parent / "scripts"
SHENHE = "shenhe"


def main() -> None:
    """Take a pipeline over."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("old", type=Path, help="what the older pipeline left behind")
    parser.add_argument("--model", required=True, help="a merged checkpoint")
    parser.add_argument("--formats", default="domain", help="of the archived texts")
    parser.add_argument("--output-dir", type=Path, required=True)
    given = parser.parse_args()
    old, out = given.old.resolve(), given.output_dir.resolve()
    out.mkdir(parents=True, exist_ok=True)
    model = ("--model", given.model)

    if (old / "photos").is_dir():
        say("1. The photos, before any model: what a contractor should mend")
        shenhe("photos", old / "photos", "--output", out / "photos.xlsx", codes=(0, 1))
        say("2. Their launcher runs Stage-A; Stage-B follows, with their rules")
        run = launch(old / "launch.sh", out / "run", given.model)
        guidance = ("--guidance", old / "guidance.json")
        stages = ("--stage-a", run / "stage_a", "--output-dir", run / "stage_b")
        shenhe("judge", *model, *guidance, *stages, codes=(0, 1))
        look_back(run)
    if (old / "stage_b").is_dir():
        say("3. The archive: their lines and verdicts, decided anew without a model")
        archive = out / "archive"
        formats = ("--formats", given.formats)
        shenhe("decide", old, "--output-dir", archive, *formats, codes=(0, 1))
        look_back(archive)
    if (old / "train.jsonl").is_file():
        say("4. Their training rows: the truth that captions are measured against")
        truth, captions = old / "train.jsonl", out / "captions.jsonl"
        photos = old / "train_photos"
        shenhe("caption", photos, *model, "--output", captions, codes=(0, 1))
        shenhe("evaluate", "captions", "--predictions", captions, "--truth", truth)
        coco = ("--format", "coco", "--output", out / "coco")
        shenhe("convert", truth, *coco, "--overwrite")
    if (old / "photos").is_dir():
        say(f"5. The review app: shenhe review {run}")
        open_review(run)


def launch(script: Path, run: Path, model: str) -> Path:
    """Run their launcher from the repository's root, as they did; what it sets, stays set."""
    settings = {
        "checkpoint": model,
        "input_dir": str(script.parent / "photos"),
        "output_dir": str(run / "stage_a"),
    }
    execute("bash", script, codes=(0, 1), environment=settings)
    return run


def look_back(run: Path) -> None:
    """Write the report of a run, and compare its verdicts with the labels."""
    shenhe("report", run)
    shenhe("evaluate", "verdicts", run)
    shenhe("evaluate", "evidence", run)


def open_review(run: Path) -> None:
    """Start the review app, and ask it for its first page."""
    command = (SHENHE, "review", str(run), "--port", "0")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = next(
            word for line in server.stdout for word in line.split() if word.startswith("http://")
        )
        with urllib.request.urlopen(address) as page:  # noqa: S310  # it is on loopback
            say(f"{address} answers {page.status}")
        server.terminate()


def shenhe(*words: str | Path, codes: tuple[int, ...] = (0,)) -> None:
    """Run a command of shenhe, and show it."""
    execute(SHENHE, *words, codes=codes)


def execute(
    *words: str | Path, codes: tuple[int, ...] = (0,), environment: dict[str, str] | None = None
) -> None:
    """Run a command; end with its exit code unless that is among `codes`."""
    say("$ " + " ".join(map(str, words)))
    cwd = SCRIPTS.parent if words[0] == "bash" else None
    env = os.environ | (environment or {})
    code = subprocess.run(list(map(str, words)), cwd=cwd, env=env, check=False).returncode
    if code not in codes:
        sys.exit(code)


def say(text: str) -> None:
    """Print at once, before what commands print."""
    print(text, flush=True)


if __name__ == "__main__":
    main()
