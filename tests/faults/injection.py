"""Fault injection: an entry point of a library raises at its n-th call and works otherwise."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shenhe.config import load_missions, load_prompts
from shenhe.engines.base import Engine
from shenhe.errors import ShenheError
from shenhe.intake import PhotoTree
from shenhe.runs import RunOptions, find_stage_a, run_summaries, run_verdicts

MISSIONS, PROMPTS = load_missions(), load_prompts()
MISSION = MISSIONS.get("挡风板安装检查")
NEVER: tuple[BaseException, ...] = (KeyError("never"), ZeroDivisionError(), RecursionError("never"))
"""Exceptions that no entry point should raise."""


class PanicException(BaseException):
    """A panic of a library written in Rust."""

    __module__ = "pyo3_runtime"


PANIC = PanicException("called `Option::unwrap()` on a `None` value")


def name_of(value: Any) -> str:
    """Name an exception or an owner of an entry point in the id of a test."""
    return type(value).__name__ if isinstance(value, BaseException) else str(value)


@dataclass(slots=True)
class Fault:
    """Replaces `name` of `owner` by a function that raises `error` at call `at` only."""

    owner: Any
    name: str
    error: BaseException
    at: int = 1
    calls: int = 0
    raised: bool = False

    def inject(self, patch: pytest.MonkeyPatch) -> None:
        real: Callable[..., Any] = getattr(self.owner, self.name)

        def faulty(*args: Any, **named: Any) -> Any:
            self.calls += 1
            if self.calls == self.at:
                self.raised = True
                raise self.error
            return real(*args, **named)

        patch.setattr(self.owner, self.name, faulty)


def run(engine: Engine, tree: Path, out: Path) -> ShenheError | None:
    """Run both stages as `shenhe run` does. Returns the system error that ended them, if any."""
    try:
        run_summaries(
            engine,
            PhotoTree(tree),
            MISSION,
            PROMPTS.summary,
            out / "a",
            engine_options={},
            run=RunOptions(),
        )
        for source in find_stage_a(out / "a", MISSIONS):
            run_verdicts(
                engine, source, PROMPTS.verdict, out / "b", engine_options={}, run=RunOptions()
            )
    except ShenheError as error:
        return error
    return None


def assert_accounted_for(out: Path, groups: set[str]) -> None:
    """Assert that every group has one Stage-A row or failures, and one verdict row."""
    for stage in ("a", "b"):
        rows = Counter(row["group_id"] for row in read(out / stage, ""))
        failed = {row["group_id"] for row in read(out / stage, ".failures")}
        assert set(rows) | failed == groups, stage
        assert max(rows.values(), default=1) == 1, stage
    assert not set(rows) ^ groups
    for row in read(out / "b", ""):
        assert (row["status"] == "undecided") == (row["group_id"] in failed)


def read(folder: Path, kind: str) -> list[dict[str, Any]]:
    """Read the rows or the failures of a stage; every line must be JSON."""
    path = folder / f"{MISSION.name}{kind}.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
