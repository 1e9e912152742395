"""Jobs that have ended, without a queue of work before: what follows results is tested on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from shenhe.config import load_missions, load_prompts, load_teaching
from shenhe.messages import Request, RequestFailed
from shenhe.runs import VerdictPolicy
from shenhe.service.jobs import Job, NewJob, StoredPhoto
from shenhe.service.judging import GroupJudge, Rules
from shenhe.service.store import Claimed, JobStore
from shenhe.values import Label
from tests.scripted import ScriptedEngine

MISSIONS = load_missions()
MISSION = "BBU接地线检查"
RULES = Rules(MISSIONS, load_prompts(), load_teaching(None, None, MISSIONS), VerdictPolicy())


class EndedJobs:
    """Hands in groups of one photo each, and ends their jobs at once.

    A group's photo holds a text: one that begins with `no line` fails, `undecided` has no verdict.
    """

    def __init__(self, store: JobStore, folder: Path, rules: Rules = RULES) -> None:
        self.store, self.folder = store, folder
        self.judge = GroupJudge(rules, "scripted", folder / "data")

    def end(
        self, group_id: str, text: str, label: Label | None = None, mission: str = MISSION
    ) -> Job:
        """End a job of a group; each text is another version."""
        (claimed,) = self.claim(group_id, text, label, mission)
        result = self.judge.judge(claimed.job, ScriptedEngine(_answerer(text)))
        assert self.store.finish(claimed, result)
        ended = self.store.get(claimed.job.id)
        assert ended
        return ended

    def fail(self, group_id: str, text: str, problem: str) -> None:
        """End a job of a group that cannot be worked on."""
        (claimed,) = self.claim(group_id, text, None, MISSION)
        assert self.store.fail(claimed, problem)

    def claim(self, group_id: str, text: str, label: Label | None, mission: str) -> list[Claimed]:
        """Hand in a group, and take its job."""
        self.store.submit(self.new(group_id, text, label, mission))
        return list(self.store.claim("tests", 1))

    def new(
        self, group_id: str, text: str, label: Label | None = None, mission: str = MISSION
    ) -> NewJob:
        """Make a job that is not handed in yet."""
        folder = self.folder / "photos" / f"{group_id}-{text}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "1.jpg").write_text(text, encoding="utf-8")
        photo = StoredPhoto(folder / "1.jpg", "1.jpg", f"hash of {group_id} {text}", len(text))
        return NewJob(mission, group_id, (photo,), text, label=label)


def _answerer(text: str) -> Callable[[Request], str | RequestFailed]:
    def answer(request: Request) -> str | RequestFailed:
        if not request.choices:
            if text.startswith("no line"):
                return RequestFailed(request.key, "truncated", f"{request.key}: ends too soon")
            return f"接地线/{text},安装符合要求"
        if text.startswith("undecided"):
            return "看不清"
        return "不通过\n理由: 缺少机柜处接地螺丝"

    return answer
