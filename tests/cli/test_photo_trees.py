"""Photo trees that are laid out otherwise, from the command line."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from shenhe.cli.main import exit_code
from tests.conftest import DEMO, MISSION

Make = Callable[..., Path]
WIDE, NARROW = "BBU安装方式检查（正装）", "BBU安装方式检查(正装)"


def _run(tmp_path: Path, root: Path, *more: str, command: str = "run") -> int:
    arguments = [command, "--model", "demo", "--adapters", "demo", "--dtype", "float32"]
    arguments += ["--data-root", str(root), "--output-dir", str(tmp_path / "out"), *more]
    return exit_code(arguments)


def test_one_mission_that_cannot_be_read_stops_no_other(
    make_group: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_group("QC-1", "1.jpg", mission=WIDE)
    make_group("QC-2", "1.jpg", mission=NARROW)
    make_group("QC-3", "1.jpg")
    assert _run(tmp_path, tmp_path / "tree", "--dry-run") == 1
    said = capsys.readouterr()
    assert f"{NARROW} and {WIDE} are the same mission: merge them" in said.err
    assert f"{MISSION}: would do 1 groups" in said.out
    shutil.rmtree(tmp_path / "tree" / MISSION)
    assert _run(tmp_path, tmp_path / "tree", "--dry-run") == 2
    assert "are the same mission" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "summarize"])
def test_a_dry_run_tells_of_folders_that_are_not_looked_at(
    make_group: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    photo = make_group("QC-1", "1.jpg", label="审核通过") / "1.jpg"
    (tmp_path / "tree" / MISSION / "ok").mkdir()
    shutil.copy(photo, tmp_path / "tree" / MISSION / "ok")
    more = ["--mission", MISSION, "--dry-run"]
    assert _run(tmp_path, tmp_path / "tree", *more, command=command) == 1
    said = capsys.readouterr()
    assert "would do 1 groups" in said.out
    (line,) = said.err.splitlines()
    assert "ok: a label folder in another spelling? It is not looked at: rename it to" in line


def test_a_mission_in_another_spelling_is_told(
    make_group: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_group("QC-1", "1.jpg", mission="挡风板 安装检查")
    make_group("QC-1", "1.jpg", mission="别的")
    make_group("QC-1", "1.jpg", mission=WIDE)
    os.mkdir(os.fsencode(tmp_path / "tree") + "/挡风板安装检查".encode("gbk"))
    assert _run(tmp_path, tmp_path / "tree", "--dry-run") == 1
    said = capsys.readouterr().err
    assert (
        f"挡风板 安装检查 is no known mission, and not looked at: rename it if {MISSION} is meant"
        in said
    )
    assert "warning: folder 别的 is no known mission" in said
    assert f"as GBK it is {MISSION}" in said
    assert len(said.splitlines()) == 3


@pytest.mark.parametrize("below", [MISSION, f"{MISSION}/审核通过", f"{MISSION}/审核通过/QC-1"])
@pytest.mark.parametrize("command", ["run", "summarize"])
def test_another_folder_as_data_root_ends_before_a_model_is_loaded(
    make_group: Make,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    below: str,
    command: str,
) -> None:
    make_group("QC-1", "1.jpg", label="审核通过")
    root = tmp_path / "tree"
    more = ["--mission", MISSION] if command == "summarize" else []
    assert _run(tmp_path, root / below, *more, command=command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f"use --data-root {root}") or f"use --data-root {root};" in line


def test_a_run_over_an_odd_tree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    label = tmp_path / "tree" / MISSION / "审核通过"
    photo = next((DEMO / "photos" / MISSION).rglob("img-*.jp*g"))
    gbk = os.path.join(os.fsencode(label), "QC-2测试".encode("gbk"))
    for folder in (
        label / "QC-1" / "补充",
        label.with_name("通过") / "QC-9",
        Path(os.fsdecode(gbk)),
    ):
        folder.mkdir(parents=True)
        shutil.copy(photo, folder)
    shutil.copy(photo, label / "QC-1")
    assert _run(tmp_path, tmp_path / "tree") == 1
    said = capsys.readouterr().err
    assert "1 groups done, 1 failed, 1 undecided" in said
    assert "通过: a label folder in another spelling? Its 1 folder " in said
    page = (tmp_path / "out" / "report" / "index.html").read_text(encoding="utf-8")
    assert f"补充/{photo.name}" in page
    assert "QC-2\\xb2\\xe2\\xca\\xd4" in page
    assert exit_code(["status", str(tmp_path / "out")]) == 1
    assert "通过: a label folder in another spelling?" in capsys.readouterr().out
    assert _run(tmp_path, tmp_path / "tree") == 1
    again = capsys.readouterr().err
    assert "1 groups done, 1 of them before, 1 failed, 1 undecided" in again


def test_choices_are_told_before_a_model_is_loaded(
    make_group: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(5):
        make_group(f"QC-{number}", "1.jpg", label="OK")
    make_group("QC-1", "1.jpg", label="审核不通过")
    (tmp_path / "labels.toml").write_text('pass = ["ok"]', encoding="utf-8")
    (tmp_path / "noisy.txt").write_text("QC-4::pass\nQC-5\nBBU接地线检查::QC-6\n", "utf-8")
    labels = ["--label-folders", str(tmp_path / "labels.toml")]
    sample = ["--sample", "4", "--sample-failed", "2", "--exclude", str(tmp_path / "noisy.txt")]
    root = tmp_path / "tree"
    arguments = ["--mission", MISSION, *labels, *sample, "--model", "absent"]
    for command in ("summarize", "run"):
        assert _run(tmp_path, root, *arguments, command=command) == 2
        said = capsys.readouterr().err
        assert f"{MISSION}: a sample of 3 groups: 2 of 4 passed, 1 of 1 failed; 1 excluded" in said
        assert "1 failed groups are there, 2 were asked for: all of them are taken" in said
        assert f"warning: --exclude: not in {root}: QC-5\n" in said
        assert said.splitlines()[-1].startswith("shenhe: --model absent: no such folder")
    assert _run(tmp_path, root, *arguments, "--dry-run") == 0
    assert f"{MISSION}: would do 3 groups (3 photos)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--sample-failed", "2"], "--sample-failed 2: say how many in all: --sample"),
        (["--sample", "1", "--sample-failed", "2"], "more than the whole sample, which is 1"),
        (["--exclude", "absent.txt"], "absent.txt: cannot be read"),
        (["--label-folders", "absent.toml"], "absent.toml: cannot be read"),
        (["--group-pattern", "QC"], "--group-pattern QC: needs a group of the name group"),
        (["--guidance", "absent.toml"], "absent.toml: cannot be read"),
    ],
)
@pytest.mark.parametrize("command", ["summarize", "run"])
def test_what_cannot_be_chosen_ends_before_a_model_is_loaded(
    make_group: Make,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    command: str,
    more: list[str],
    said: str,
) -> None:
    make_group("QC-1", "1.jpg")
    arguments = ["--mission", MISSION, "--model", "absent", *more]
    assert _run(tmp_path, tmp_path / "tree", *arguments, command=command) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
