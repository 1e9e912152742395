"""The commands as a user runs them, on the bundled checkpoint."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from shenhe.cli.main import exit_code
from tests.cli.bad_files import contents, special
from tests.conftest import DEMO, MISSION
from tests.interrupts import heed_interrupts
from tests.warm import SHENHE

MODEL = ["--model", "demo", "--adapters", "demo", "--dtype", "float32", "--batch-size", "8"]
ROOT = Path(__file__).parent.parent.parent
COUNTS = {"groups": 24, "failures": 1}


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _run(*argv: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [*SHENHE, *map(str, argv)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


@pytest.fixture(scope="module")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """What `make demo` runs."""
    folder = tmp_path_factory.mktemp("demo") / "run"
    done = _run("demo", "--output-dir", folder)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_the_demo_ends_with_a_table_and_a_report(demo_run: tuple[Path, str]) -> None:
    folder, said = demo_run
    for mission in (path.name for path in (DEMO / "photos").iterdir()):
        assert mission in said
    assert said.rstrip().endswith(f"report: {folder / 'report' / 'index.html'}")
    assert "审核报告" in (folder / "report" / "index.html").read_text(encoding="utf-8")
    rows = [row for path in folder.glob("stage_b/*[!s].jsonl") for row in _rows(path)]
    assert len(rows) == COUNTS["groups"]
    assert sum(row["status"] == "undecided" for row in rows) == COUNTS["failures"]


def test_the_demo_is_mostly_right(demo_run: tuple[Path, str]) -> None:
    """What is bundled is a checkpoint that has learnt its job, over all four missions."""
    folder, _ = demo_run
    expected = {"pass": "通过", "fail": "不通过"}
    rows = [row for path in folder.glob("stage_b/*[!s].jsonl") for row in _rows(path)]
    labelled = [row for row in rows if row["label"] and row["status"] == "decided"]
    right = sum(row["verdict"] == expected[row["label"]] for row in labelled)
    assert right / len(labelled) >= 0.85


def test_summarize_judge_and_report_make_the_same_rows_as_run(
    demo_run: tuple[Path, str], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    photos = DEMO / "photos"
    common = ["--data-root", str(photos), "--mission", MISSION, *MODEL]
    assert exit_code(["summarize", *common, "--output-dir", str(run / "stage_a")]) == 0
    file = run / "stage_a" / f"{MISSION}.jsonl"
    output = ["--output-dir", str(run / "stage_b")]
    assert exit_code(["judge", *MODEL, "--stage-a", str(file), *output]) == 0
    assert exit_code(["report", str(run)]) == 0
    ours, theirs = (
        {row["group_id"]: row["raw"] for row in _rows(folder / "stage_b" / f"{MISSION}.jsonl")}
        for folder in (run, demo_run[0])
    )
    assert ours == theirs


def test_the_older_script(tmp_path: Path) -> None:
    command = tmp_path / "bin" / "shenhe"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {" ".join(SHENHE)} "$@"\n')
    command.chmod(0o755)
    done = subprocess.run(
        [
            *(ROOT / "scripts" / "stage_a_infer.sh", "--model", "demo"),
            *("--data_root", DEMO / "photos", "--mission", MISSION),
            *("--output_dir", tmp_path / "out", "--batch_size", "4"),
        ],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PATH": f"{command.parent}:{os.environ['PATH']}"},
    )
    assert done.returncode == 0, done.stderr
    assert len(_rows(tmp_path / "out" / f"{MISSION}.jsonl")) == 6


def test_dry_run_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["run", *MODEL, "--data-root", str(DEMO / "photos"), "--output-dir", str(tmp_path / "o")]
    assert exit_code([*argv, "--dry-run"]) == 0
    assert f"{MISSION}: would do 6 groups" in capsys.readouterr().out
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--model", "absent"], "--model absent: no such folder"),
        (["--adapters", "absent"], "--adapters absent: no such folder"),
        (["--data-root", "absent"], "--data-root absent: no such folder"),
        (["--mission", "挡风扇"], "unknown mission"),
        (["--missions", "absent.toml"], "absent.toml: cannot be read"),
        (["--prompts", "absent.toml"], "absent.toml: cannot be read"),
        (["--temperature", "-1"], "--temperature"),
        (["--output-dir", "/dev/null/out"], "cannot be written"),
    ],
)
def test_what_could_not_run_exits_2_in_one_line(
    argv: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = [*MODEL, "--data-root", str(DEMO / "photos"), "--output-dir", str(tmp_path)]
    assert exit_code(["run", *base, *argv]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert said in lines[-1]
    assert "Traceback" not in "".join(lines)


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["report", "absent", "--debug", "true"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_an_unknown_folder_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(DEMO / "photos" / MISSION, tmp_path / "t" / MISSION)
    (tmp_path / "t" / "别的检查").mkdir()
    argv = ["run", *MODEL, "--data-root", str(tmp_path / "t"), "--output-dir", str(tmp_path / "o")]
    assert exit_code([*argv, "--dry-run"]) == 0
    assert "别的检查 is no known mission" in capsys.readouterr().err


def test_a_fifth_mission_by_a_file_alone(tmp_path: Path) -> None:
    missions = tmp_path / "m.toml"
    text = 'schema = 1\n[[mission]]\nname = "BBU标签检查"\nfocus = "标签"\nrule = "标签可以识别"\n'
    missions.write_text(text, encoding="utf-8")
    source = next((DEMO / "photos" / MISSION / "审核通过").iterdir())
    shutil.copytree(source, tmp_path / "tree" / "BBU标签检查" / source.name)
    argv = ["run", *MODEL, "--missions", str(missions), "--data-root", str(tmp_path / "tree")]
    code = exit_code([*argv, "--output-dir", str(tmp_path / "out")])
    assert code in (0, 1)  # what the model says of a mission it never saw is its own affair
    (row,) = _rows(tmp_path / "out" / "stage_a" / "BBU标签检查.jsonl")
    assert row["mission"] == "BBU标签检查"


@pytest.fixture
def damaged_tree(tmp_path: Path) -> Path:
    """One group for each bad file, beside a good photo; and good groups of odd photos."""
    photo = next((DEMO / "photos" / MISSION / "审核通过").glob("*/img-001.jpeg"))
    tree = tmp_path / "tree"
    for name, content in contents().items():
        group = tree / MISSION / "审核不通过" / f"bad {name}"
        group.mkdir(parents=True)
        (group / name).write_bytes(content)
        shutil.copy(photo, group / "good.jpeg")
    odd = tree / MISSION / "审核不通过" / "bad special"
    odd.mkdir()
    special(odd)
    image = Image.open(photo)
    good = tree / MISSION / "审核通过"
    for name in ('o\'brien "quoted"', "new\nline", "emoji 😀 图", "modes"):
        (good / name).mkdir(parents=True)
        shutil.copy(photo, good / name / f"{name}.jpeg")
    image.convert("CMYK").save(good / "modes" / "cmyk.jpg")
    image.quantize(64).save(good / "modes" / "palette.png")
    image.save(good / "modes" / "moving.webp", save_all=True, append_images=[image])
    grey = np.asarray(image.convert("L"), np.uint16) * 257
    Image.fromarray(grey).save(good / "modes" / "deep.png")
    pillow_heif.from_pillow(image).save(good / "modes" / "heic-inside.jpg")
    return tree


def test_bad_files_fail_alone(damaged_tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = _run(
        *("summarize", "--data-root", str(damaged_tree), "--mission", MISSION, *MODEL),
        *("--output-dir", str(out)),
        timeout=300,
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    rows = _rows(out / f"{MISSION}.jsonl")
    assert {row["group_id"] for row in rows} == {
        'o\'brien "quoted"',
        "new\nline",
        "emoji 😀 图",
        "modes",
    }
    failures = _rows(out / f"{MISSION}.failures.jsonl")
    codes = {Path(failure["item"]).name: failure["code"] for failure in failures}
    bad = contents()
    assert len(bad) == 40
    assert codes.keys() == bad.keys() | {"dangling.jpg", "circle.jpg", "device.jpg", "pipe.jpg"}
    assert set(codes.values()) == {
        *("empty", "not_a_photo", "truncated", "too_large", "too_long", "missing", "unreadable"),
    }
    assert codes["bomb.png"] == "too_large"
    assert codes["half.jpg"] == codes["no-end.jpg"] == codes["half.heic"] == "truncated"
    modes = next(row for row in rows if row["group_id"] == "modes")
    colour = [
        modes["per_image"][f"图片_{n}"] for n, p in enumerate(modes["images"], 1) if "deep" not in p
    ]
    assert len(set(colour)) == 1, "the same photo in other clothes"


def test_interrupted_it_exits_130_and_goes_on(tree: Path, tmp_path: Path) -> None:
    words = ["run", *MODEL, "--data-root", str(tree), "--output-dir", str(tmp_path / "o")]
    run = subprocess.Popen(
        [*SHENHE, *words],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
    )
    rows = tmp_path / "o" / "stage_a" / "BBU安装方式检查（正装）.jsonl"
    deadline = time.monotonic() + 120
    while not (rows.exists() and rows.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.02)
    run.send_signal(signal.SIGINT)
    _, error = run.communicate(timeout=60)
    assert run.returncode == 130, error
    assert "goes on from there" in error
    assert _run(*words).returncode == 1
    assert len(_rows(rows)) == 6


def test_a_stage_a_without_a_row_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / f"{MISSION}.jsonl"
    file.touch()
    for stage_a in (tmp_path, file):
        command = ["judge", "--model", "nosuch", "--stage-a", str(stage_a)]
        assert exit_code([*command, "--output-dir", str(tmp_path / "b")]) == 2
        assert f"--stage-a {stage_a}: empty" in capsys.readouterr().err


def test_between_the_thresholds_groups_are_undecided(
    demo_run: tuple[Path, str], tmp_path: Path
) -> None:
    stage_a = demo_run[0] / "stage_a"
    command = [*SHENHE, "judge", *MODEL, "--stage-a", str(stage_a)]
    command += ["--output-dir", str(tmp_path / "b"), "--pass-above", "1", "--fail-below", "0"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 1, run.stderr
    assert "6 undecided" in run.stderr
    for path in (tmp_path / "b").glob("*[!s].jsonl"):
        for row in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
            assert row["verdict"] is None
            assert row["status"] == "undecided"
            assert row["p_pass"] is None or 0 < row["p_pass"] < 1
    run = subprocess.run([*command, "--votes", "3"], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "votes was None, now 3" in run.stderr
