"""run() with a stage of its own: written, killed, resumed, observed, planned."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shenhe.errors import OptionsChangedError
from shenhe.messages import Request
from shenhe.rows.counts import RunCounts
from shenhe.runs.observers import RunInfo
from shenhe.runs.run import OutputSpec, RunOptions, RunPlan, plan, run
from shenhe.runs.work import FinishedJob
from tests.runs import text_stage
from tests.runs.text_stage import LanguageWork, Texts
from tests.scripted import Script, ScriptedEngine

TEXTS = {"first": "good morning", "second": "早上好"}


def _answer(request: Request) -> str:
    return "zh" if "早" in str(request.messages) else "en"


def _run(path: Path, script: Script = _answer, checkpoint: str = "c", **options: int) -> RunCounts:
    engine = ScriptedEngine(script, batch_size=1)
    work = LanguageWork(Texts(TEXTS), checkpoint)
    return run(engine, work, OutputSpec(path, RunOptions(**options)))  # type: ignore[arg-type]


def _languages(path: Path) -> dict[str, str]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert len({row["group_id"] for row in rows}) == len(rows)
    return {row["group_id"]: row["language"] for row in rows}


def test_a_stage_costs_sixty_lines() -> None:
    assert len(Path(text_stage.__file__).read_text(encoding="utf-8").splitlines()) <= 60


def test_rows_manifest_and_plan(tmp_path: Path) -> None:
    path = tmp_path / "languages.jsonl"
    assert plan(Texts(TEXTS), OutputSpec(path, RunOptions())) == RunPlan(2, 2, 0)
    counts = _run(path, limit=1)
    assert (counts.already, counts.done, counts.complete) == (0, 1, True)
    assert plan(Texts(TEXTS), OutputSpec(path, RunOptions())) == RunPlan(1, 1, 1)
    counts = _run(path)
    assert (counts.already, counts.done, counts.new_tokens) == (1, 1, len("zh"))
    assert _languages(path) == {"first": "en", "second": "zh"}
    manifest = json.loads(path.with_suffix(".manifest.json").read_text(encoding="utf-8"))
    assert manifest["state"] == "ended"
    assert manifest["options"] == {"stage": "languages", "checkpoint": "c", "max_attempts": 3}
    with pytest.raises(OptionsChangedError, match="checkpoint"):
        _run(path, checkpoint="another")


def test_an_unreadable_answer_is_retried_then_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "languages.jsonl"
    counts = _run(path, lambda request: "?" if "早" in str(request.messages) else "en")
    assert (counts.done, counts.failed, counts.complete) == (1, 1, False)
    (failure,) = map(json.loads, path.with_suffix(".failures.jsonl").read_text().splitlines())
    assert (failure["code"], failure["attempts"], failure["raw"]) == ("language", 3, "?")
    assert _run(path).complete
    assert _languages(path) == {"first": "en", "second": "zh"}
    assert not path.with_suffix(".failures.jsonl").read_text()


def _kill(request: Request) -> str:
    if "早" in str(request.messages):
        os.kill(os.getpid(), signal.SIGKILL)
    return _answer(request)


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "languages.jsonl"
    code = f"from tests.runs.test_run import Path, _kill, _run; _run(Path({str(path)!r}), _kill)"
    killed = subprocess.run([sys.executable, "-c", code], check=False)
    assert killed.returncode == -signal.SIGKILL
    with path.open("ab") as file:
        file.write(b'{"group_id": "second", "mis')
    counts = _run(path)
    assert (counts.already, counts.done, counts.complete) == (1, 1, True)
    assert _languages(path) == {"first": "en", "second": "zh"}


def test_observers(tmp_path: Path) -> None:
    calls: list[tuple[str, int]] = []

    class Recorder:
        def began(self, info: RunInfo) -> None:
            calls.append(("began", info.total))

        def finished(self, info: RunInfo, job: FinishedJob[object, object]) -> None:
            calls.append(("finished", info.counts.done))

        def ended(self, info: RunInfo) -> None:
            calls.append(("ended", info.counts.done))

    work = LanguageWork(Texts(TEXTS), "c")
    output = OutputSpec(tmp_path / "languages.jsonl", RunOptions())
    run(ScriptedEngine(_answer), work, output, [Recorder()])
    assert calls == [("began", 2), ("finished", 1), ("finished", 2), ("ended", 2)]
