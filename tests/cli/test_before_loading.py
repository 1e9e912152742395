"""Mistakes in options and inputs are told before a model is loaded, which may take minutes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shenhe.cli.main import exit_code
from shenhe.engines.base import EngineSpec
from shenhe.engines.deferred import DeferredEngine
from shenhe.engines.options import LocalOptions
from shenhe.errors import EngineError
from shenhe.rows.counts import RunCounts
from shenhe.rows.keys import rows_file
from shenhe.rows.ledger import OutputLock
from shenhe.rows.manifest import Manifest
from shenhe.rows.promises import Fingerprint, MissionPromise, Promise, write_promise
from tests.conftest import DEMO, MISSION
from tests.scripted import ScriptedEngine

MODEL = ["--model", "demo", "--adapters", "demo", "--dtype", "float32"]
PHOTOS = DEMO / "photos"


def _begun(path: Path, **options: object) -> None:
    """Write the manifest of rows that were begun with other options."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    Manifest(path, options).write(RunCounts(), "ended")


@pytest.fixture
def stage_a(tmp_path: Path) -> Path:
    row = {"group_id": "QC-1", "mission": MISSION, "per_image": {"图片_1": "BBU设备/华为×1"}}
    path = tmp_path / "lines" / f"{MISSION}.jsonl"
    path.parent.mkdir()
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def promise(tmp_path: Path) -> Path:
    """A promise of verdicts by another checkpoint."""
    other = MissionPromise(
        threshold=1.0, failed=60, slipped=0, fingerprint=Fingerprint(checkpoint="another")
    )
    missions = {MISSION: other}
    content = Promise(max_false_pass=0.05, confidence=0.95, timestamp="t", missions=missions)
    write_promise(tmp_path / "promise.json", content)
    return tmp_path / "promise.json"


def _refused(argv: list[str], problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code([*argv, *MODEL]) == 2
    said = capsys.readouterr().err
    assert problem in said
    assert "loading" not in said
    assert said.count("\n") == 1


def test_outputs_that_were_begun_with_other_options(
    tmp_path: Path, stage_a: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    for path in (rows_file(out, MISSION), rows_file(out / "stage_a", MISSION), out / "c.jsonl"):
        _begun(path, seed=7)
    problem = "begun with other options"
    tree = ["--data-root", str(PHOTOS), "--mission", MISSION, "--output-dir", str(out)]
    _refused(["summarize", *tree], problem, capsys)
    _refused(["run", *tree], problem, capsys)
    _refused(["judge", "--stage-a", str(stage_a), "--output-dir", str(out)], problem, capsys)
    photo = next(PHOTOS.rglob("img-001*"))
    _refused(["caption", str(photo), "--output", str(out / "c.jsonl")], problem, capsys)
    data = tmp_path / "data.jsonl"
    data.write_text('{"query": "?", "images": []}\n', encoding="utf-8")
    names = ["--val-dataset", str(data), "--result-path", str(out / "c.jsonl")]
    _refused(["infer", *names], problem, capsys)


def test_verdicts_that_were_begun_with_other_options_than_the_run_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for stage in ("stage_a", "stage_b"):
        (tmp_path / stage).mkdir()
    _begun(rows_file(tmp_path / "stage_b", MISSION), pass_above=0.9)
    rows_file(tmp_path / "stage_a", MISSION).touch()
    tree = ["--data-root", str(PHOTOS), "--mission", MISSION, "--output-dir", str(tmp_path)]
    _refused(["run", *tree], "pass_above was 0.9, now None", capsys)


def test_promises_of_other_verdicts(
    tmp_path: Path, stage_a: Path, promise: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    problem = "was made for another checkpoint"
    more = ["--promise", str(promise), "--output-dir", str(tmp_path / "out")]
    _refused(["judge", "--stage-a", str(stage_a), *more], problem, capsys)
    tree = ["--data-root", str(PHOTOS), "--mission", MISSION]
    _refused(["run", *tree, *more], problem, capsys)


def test_an_output_that_another_process_writes(
    tmp_path: Path, stage_a: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with OutputLock(rows_file(tmp_path / "out", MISSION)):
        argv = ["judge", "--stage-a", str(stage_a), "--output-dir", str(tmp_path / "out")]
        _refused(argv, "another shenhe writes to it", capsys)


def test_a_photo_of_a_chat_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "1.jpg").write_text("no photo")
    _refused(["chat", "--prompt", "?", "--image", str(tmp_path / "1.jpg")], "1.jpg", capsys)


def test_folders_that_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    photo = str(next(PHOTOS.rglob("img-001*")))
    argv = ["caption", photo, "--output", str(tmp_path / "c.jsonl")]
    _refused([*argv, "--draw", str(tmp_path / "file")], "file: is no folder", capsys)
    _refused(["doctor", "--compare", "absent"], "absent: no such folder", capsys)
    _refused(["doctor", "--compare-adapters", "absent"], "absent: no such folder", capsys)
    tree = ["--data-root", str(PHOTOS), "--mission", MISSION]
    output = ["--output-dir", str(tmp_path / "file")]
    _refused(["summarize", *tree, *output], "cannot be written: File exists", capsys)


def test_an_engine_is_loaded_once_and_when_it_is_needed() -> None:
    loaded: list[ScriptedEngine] = []

    def create() -> ScriptedEngine:
        loaded.append(ScriptedEngine(lambda request: ""))
        loaded[-1].fingerprint = fingerprint
        return loaded[-1]

    spec = EngineSpec(model="demo", engine=LocalOptions())
    engine = DeferredEngine(spec, create)
    fingerprint = engine.fingerprint
    assert loaded == []
    assert list(engine.answer(iter(()))) == []
    assert engine.load() is engine.load() is loaded[0]
    assert len(loaded) == 1
    fingerprint = "changed meanwhile"
    with pytest.raises(EngineError, match="demo: its files were changed while it was loaded"):
        DeferredEngine(spec, create).load()
