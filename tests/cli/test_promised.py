"""`--promise` on commands that ask a model: other verdicts are refused before any is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from shenhe.cli.main import exit_code
from shenhe.rows.promise_fingerprints import fingerprint_of_run
from shenhe.rows.promises import Fingerprint, MissionPromise, Promise, write_promise
from shenhe.values import PASS
from tests.conftest import DEMO, MISSION
from tests.servers.starting import Served, scripted

PHOTOS = DEMO / "photos"


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with scripted() as server:
        yield server


def _promise(path: Path, fingerprint: Fingerprint, threshold: float = -5.0) -> Path:
    content = MissionPromise(threshold=threshold, failed=60, slipped=0, fingerprint=fingerprint)
    write_promise(
        path,
        Promise(max_false_pass=0.05, confidence=0.95, timestamp="t", missions={MISSION: content}),
    )
    return path


def test_a_run_is_held_to_a_promise_of_its_own_kind(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ["--engine", "server", "--base-url", served.url, "--model", "scripted"]
    run = ["run", *model, "--data-root", str(PHOTOS), "--mission", MISSION]
    assert exit_code([*run, "--output-dir", str(tmp_path / "first")]) in (0, 1)
    actual = fingerprint_of_run(tmp_path / "first", MISSION)
    assert actual.stage_a_checkpoint == actual.checkpoint
    promise = _promise(tmp_path / "promise.json", actual)
    promised = ["--promise", str(promise)]
    # The same way: every verdict is held to it, and the run has the fingerprint that it had.
    second = tmp_path / "second"
    assert exit_code([*run, *promised, "--output-dir", str(second)]) in (0, 1)
    assert fingerprint_of_run(second, MISSION) == actual
    rows = (second / "stage_b" / f"{MISSION}.jsonl").read_text("utf-8").splitlines()
    assert {json.loads(row)["meta"]["promise"] for row in rows} != {None}
    # Stage-B alone, on the same lines.
    judge = ["judge", *model, "--stage-a", str(tmp_path / "first" / "stage_a")]
    assert exit_code([*judge, *promised, "--output-dir", str(tmp_path / "b")]) in (0, 1)

    capsys.readouterr()
    third = tmp_path / "third"
    for more, difference in (
        (["--seed", "7"], "stage_b.seed: 7 here, 0 promised"),
        (["--votes", "3"], "votes: 3 here, 1 promised"),
        (["--no-evidence"], "evidence: off here, "),
        (["--temperature", "0.5"], "stage_a.temperature: 0.5 here, 0.0 promised"),
    ):
        assert exit_code([*run, *promised, *more, "--output-dir", str(third)]) == 2
        told = capsys.readouterr().err
        assert f"--promise {promise} was made for another " in told
        assert difference in told
        assert not third.exists()
    other = _promise(tmp_path / "other.json", actual.model_copy(update={"checkpoint": "c3d4"}))
    assert exit_code([*judge, "--promise", str(other), "--output-dir", str(third)]) == 2
    assert "another checkpoint: " in capsys.readouterr().err
    assert not third.exists()


def test_a_file_that_is_no_promise_is_told_before_the_model_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["run", "--model", "demo", "--data-root", str(PHOTOS), "--output-dir", str(tmp_path)]
    path = tmp_path / "promise.json"
    assert exit_code([*run, "--promise", str(path)]) == 2
    assert f"{path}: cannot be read" in capsys.readouterr().err
    path.write_text(f'{{"verdict": "{PASS}"}}', "utf-8")
    assert exit_code([*run, "--promise", str(path)]) == 2
    told = capsys.readouterr().err
    assert f"{path}: is no promise" in told
    assert "loading" not in told
