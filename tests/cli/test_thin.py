"""What `pip install shenhe` does without its extra `local`, and what it says of the rest."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pillow_heif
import pytest
from PIL import ExifTags, Image

from shenhe.checkpoints import find_checkpoint, fingerprint
from shenhe.cli.message_catalogue import in_chinese
from tests.conftest import DEMO, MISSION
from tests.servers.starting import ROOT, Served, free_port, scripted
from tests.thin_install import pixels

pillow_heif.register_heif_opener()
COMMAND = (sys.executable, "-m", "tests.thin_install")
REMEDY = "pip install 'shenhe[local]'"


class Outcome(NamedTuple):
    """What came of a command."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    base = str(DEMO / "checkpoint" / "base")
    with scripted("--form", "structured_outputs", "--entry", json.dumps({"root": base})) as server:
        yield server


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree with a group of each label and without one, in every kind of file."""
    root = tmp_path_factory.mktemp("thin") / "tree"
    for group, label in (("QC-1", "审核通过"), ("QC-2", "审核不通过")):
        folder = root / MISSION / label / group
        folder.mkdir(parents=True)
        for path in sorted((DEMO / "photos").rglob("img-00[12].jp*g"))[:2]:
            shutil.copy(path, folder)
    drawn = Image.effect_mandelbrot((1203, 901), (-2, -1, 1, 1), 90).convert("RGB")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    (root / MISSION / "QC-3").mkdir()
    for name in ("a.jpg", "b.heic", "c.png", "d.webp", "e.tiff"):
        drawn.save(root / MISSION / "QC-3" / name, exif=exif)
    return root


@pytest.fixture(scope="module")
def outcomes(served: Served, photos: Path) -> dict[str, Outcome]:
    """Every command, one after another in one process that lacks the local engine's parts."""
    out = photos.parent
    run_dir, mine, captions = out / "run", out / "local", out / "captions.jsonl"
    raw = out / "raw.jsonl"
    raw.write_text('{"raw": "通过\\n理由: 符合要求"}\n', "utf-8")
    server = ["--engine", "server", "--base-url", served.url, "--model", "scripted"]
    model = ["--model", "demo", "--adapters", "demo"]
    commands: dict[str, list[object]] = {
        "run": ["run", "--data-root", photos, "--output-dir", run_dir, *server],
        "caption": ["caption", photos / MISSION / "QC-3", "--output", captions, *server],
        "report": ["report", run_dir],
        "review": ["review", run_dir, "--export", out / "review"],
        "evaluate": ["evaluate", "verdicts", run_dir, "--html", out / "verdicts.html"],
        "convert": ["convert", captions, "--format", "coco", "--output", out / "coco.json"],
        "check": ["check", "verdict", raw],
        "status": ["status", run_dir],
        "fsck": ["fsck", run_dir, "--dry-run"],
        "decide": ["decide", run_dir, "--output-dir", out / "anew"],
        "watch": ["watch", run_dir],
        "photos": ["photos", photos, "--output", out / "photos.xlsx"],
        "team": ["team", run_dir],
        "doctor": ["doctor", *server, "--json", "--no-load"],
        "promise": ["promise", run_dir, "--max-false-pass", "0.05", "--output", out / "promise"],
        "local demo": ["demo", "--output-dir", mine / "demo"],
        "local run": ["run", "--data-root", photos, "--output-dir", mine / "run", *model],
        "local caption": ["caption", photos, "--output", mine / "a.jsonl", *model],
        "local devices": ["caption", photos, "--output", mine / "b.jsonl", *model, "--devices=all"],
        "local chat": ["chat", *model, "--prompt", "你好"],
        "local serve": ["serve", *model, "--data", mine / "service", "--port", "0"],
        "local doctor": ["doctor", *model],
        "merge": ["merge", *model, "--output-dir", mine / "merged"],
        "local verify": ["verify", "demo"],
    }
    commands |= {f"pixels {path}": ["pixels", path] for path in sorted(photos.rglob("*.*"))}
    words = json.dumps([list(map(str, command)) for command in commands.values()])
    run = subprocess.run(COMMAND, input=words, capture_output=True, text=True, cwd=ROOT, check=True)
    results = [Outcome(**outcome) for outcome in json.loads(run.stdout)]
    return dict(zip(commands, results, strict=True))


def _chosen(outcomes: dict[str, Outcome], kind: str) -> dict[str, Outcome]:
    return {name: outcome for name, outcome in outcomes.items() if name.startswith(kind)}


def test_what_needs_no_model_here(outcomes: dict[str, Outcome], photos: Path) -> None:
    apart = _chosen(outcomes, "local ") | _chosen(outcomes, "pixels ")
    for name in outcomes.keys() - apart.keys() - {"promise"}:
        assert outcomes[name].code in (0, 1), (name, outcomes[name].err)
        assert "not installed" not in outcomes[name].err
    assert outcomes["promise"].code == 2
    assert "1 failed groups, 59 are needed" in outcomes["promise"].out
    rows = photos.parent / "run" / "stage_b" / f"{MISSION}.jsonl"
    assert "QC-3" in rows.read_text("utf-8")
    checks = json.loads(outcomes["doctor"].out)["checks"]
    assert {check["check"] for check in checks} == {"versions", "server"}


def test_rows_of_a_server_know_the_checkpoint_that_lies_here(
    outcomes: dict[str, Outcome], photos: Path
) -> None:
    assert outcomes["run"].code in (0, 1)
    manifest = photos.parent / "run" / "stage_a" / f"{MISSION}.manifest.json"
    options = json.loads(manifest.read_text("utf-8"))["options"]
    assert options["checkpoint"] == fingerprint(find_checkpoint("demo"))


def test_photos_have_the_same_pixels_without_torch(outcomes: dict[str, Outcome]) -> None:
    assert "torch" in sys.modules  # here it resizes
    chosen = _chosen(outcomes, "pixels ")
    assert len(chosen) == 9
    for name, outcome in chosen.items():
        assert outcome.out == pixels(name.removeprefix("pixels ")), name


def test_what_needs_a_model_here_says_what_to_install(outcomes: dict[str, Outcome]) -> None:
    for name, outcome in _chosen(outcomes, "local ").items():
        assert outcome.code == 2, (name, outcome)
        assert outcome.err.splitlines()[-1].endswith(f"torch is not installed; {REMEDY}"), name
        assert "Traceback" not in outcome.err
    assert in_chinese(f"torch is not installed; {REMEDY}") == f"没有安装 torch；{REMEDY}"


def test_pages_and_the_service_of_a_server(
    outcomes: dict[str, Outcome], photos: Path, served: Served
) -> None:
    run_dir = photos.parent / "run"
    assert outcomes["run"].code in (0, 1)
    ports = {"review": free_port(), "serve": free_port()}
    server = ["--engine", "server", "--base-url", served.url, "--model", "scripted"]
    commands: dict[str, list[object]] = {
        "review": [run_dir],
        "serve": ["--data", run_dir.parent / "service", *server],
    }
    started = [
        subprocess.Popen(
            [*COMMAND, name, *map(str, words), "--port", str(ports[name])],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for name, words in commands.items()
    ]
    try:
        assert MISSION in _page(ports["review"], "/")
        assert _page(ports["serve"], "/healthz")
        assert "scripted" in _page(ports["serve"], "/v1/models")
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.communicate(timeout=20)


def _page(port: int, path: str) -> str:
    deadline = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
                content: bytes = answer.read()
                return content.decode()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
