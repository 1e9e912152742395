"""Stage-A rows of one mission that are written by hand, and what is judged of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from shenhe.config import load_missions, load_prompts
from shenhe.messages import Answer, Request
from shenhe.runs import RunCounts, RunOptions, VerdictPolicy, find_stage_a, run_verdicts
from shenhe.values import FAIL, PASS
from tests.scripted import Script, ScriptedEngine

MISSIONS, PROMPTS = load_missions(), load_prompts()
FIBRES, BAFFLE, GROUND = "BBU线缆布放要求", "挡风板安装检查", "BBU接地线检查"
WHOLE = "BBU设备/华为,显示完整,无需安装×1"
PASSED = "通过\n理由: 各图均符合要求"


class SureEngine(ScriptedEngine):
    """Gives scores of its own beside the texts of a script."""

    scores: dict[str, float] = {PASS: -0.1, FAIL: -2.4}  # noqa: RUF012

    def _one(self, request: Request) -> Any:
        answer = super()._one(request)
        if isinstance(answer, Answer) and request.choices:
            object.__setattr__(answer, "choice_logprobs", self.scores)
        return answer


class Judged:
    """Stage-A rows of one mission, and what is judged of them."""

    def __init__(self, folder: Path, mission: str) -> None:
        self.out, self.mission = folder, mission
        self.script: Script = lambda request: PASSED
        self.scores = SureEngine.scores

    def write(self, *lines: dict[str, str], **fields: Any) -> None:
        """Write the Stage-A rows of groups, from g0 on."""
        rows = [
            {"group_id": f"g{n}", "mission": self.mission, "label": None}
            | {"images": [f"{k}.jpg" for k in of], "per_image": of, "timestamp": "t"}
            | {"meta": {"prompt_hash": "p", "checkpoint": "c", "answers": {}}}
            | fields
            for n, of in enumerate(lines)
        ]
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        self.path("stage_a").parent.mkdir(parents=True, exist_ok=True)
        self.path("stage_a").write_text(text, encoding="utf-8")

    def path(self, stage: str, kind: str = "") -> Path:
        return self.out / stage / f"{self.mission}{kind}.jsonl"

    def judge(self, policy: VerdictPolicy | None = None, **how: Any) -> RunCounts:
        (source,) = find_stage_a(self.path("stage_a"), MISSIONS)
        engine = SureEngine(self.script)
        engine.scores = self.scores
        return run_verdicts(
            engine,
            source,
            PROMPTS.verdict,
            self.out / "stage_b",
            engine_options={"engine": "local", "seed": 0, "model": "/m", "adapters": []},
            run=RunOptions(**how),
            policy=policy,
        )

    def rows(self, kind: str = "") -> list[dict[str, Any]]:
        text = self.path("stage_b", kind).read_text("utf-8")
        return sorted(map(json.loads, text.splitlines()), key=lambda row: str(row["group_id"]))

    def codes(self) -> list[list[str]]:
        return [row["meta"]["why"] for row in self.rows()]
