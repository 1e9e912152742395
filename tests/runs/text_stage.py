"""A whole stage of its own: the language of texts, one row a text."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

from shenhe.errors import FormatError
from shenhe.messages import Answer, Message, Request
from shenhe.row_types import Row
from shenhe.runs.row_parts import group_failure
from shenhe.runs.work import Backlog, FinishedJob, Job, Record, Work
from shenhe.values import Group


class LanguageRow(Row):
    group_id: str
    mission: str
    label: None
    language: str


class Texts(Backlog[Group]):
    def __init__(self, texts: Mapping[str, str]) -> None:
        super().__init__()
        self.texts, self.total = texts, len(texts)

    def pending(self, done: Container[str]) -> Iterator[Group]:
        groups = (Group(name, "languages", None, ()) for name in self.texts)
        return (group for group in groups if group.key not in done)


class LanguageWork(Work[Group, str]):
    title = "languages"

    def __init__(self, backlog: Texts, checkpoint: str) -> None:
        self.backlog: Texts = backlog
        self.checkpoint = checkpoint

    def decisive_options(self) -> dict[str, object]:
        return {"stage": "languages", "checkpoint": self.checkpoint}

    def jobs(self, items: Iterator[Group]) -> Iterator[Job[Group] | Record]:
        for group in items:
            message = Message("user", (f"Language? {self.backlog.texts[group.group_id]}",))
            yield Job(group, (Request(group.key, (message,), max_new_tokens=4),))

    def read(self, answer: Answer) -> str:
        if answer.text not in ("en", "zh"):
            raise FormatError("language", f"no language: {answer.text!r}")
        return answer.text

    def record(self, job: FinishedJob[Group, str]) -> Record:
        group = job.item
        if job.rejections:
            return Record(group.key, None, [group_failure(group, "text", job.rejections[0])])
        name, language = group.group_id, job.successes[0].value
        row = LanguageRow(group_id=name, mission=group.mission, label=None, language=language)
        return Record(group.key, row)
