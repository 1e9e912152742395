"""A site whose every page has something to show: a team, its opinions, an earlier run beside it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from shenhe.config import load_missions, load_prompts
from shenhe.review import Index, OtherRun, Prompting, Review, create_app
from shenhe.row_types import Evidence
from shenhe.rows.decision_rows import Decision, DecisionChoice, Opinion
from shenhe.team import Drawn, SecondOpinions
from shenhe.team.assignments import Assignments
from shenhe.values import EvidenceItem
from tests.review.runs import FAIL, PASS, Group, write_captions, write_run
from tests.team.crew import add, people_of

EVIDENCE = Evidence(
    rules="a" * 16,
    items=[
        EvidenceItem("螺丝", "need", "seen", right=("图片_1",)),
        EvidenceItem("电线", "need", "missing"),
        EvidenceItem("生锈", "fault", "stated", wrong=("图片_2",)),
    ],
)
GROUPS = [
    Group("QC-东-0", None, "fail", None, "empty: the verdict is empty", extra={"region": "东"}),
    Group("QC-东-1", None, "fail", 0.9, "missing", why=("evidence_missing",), evidence=EVIDENCE),
    *(Group(f"QC-西-{n}", PASS, "pass", 0.6, extra={"region": "西"}) for n in range(2, 9)),
    *(Group(f"QC-无-{n}", FAIL, "fail", 0.2, mission="BBU接地线检查") for n in range(9, 12)),
]
FIRSTS: dict[int, DecisionChoice] = {3: "通过", 4: "通过", 5: "不通过", 6: "通过", 7: "待定"}
"""What 李工 decided, by the numbers of groups."""
SECONDS: dict[int, DecisionChoice] = {3: "不通过", 4: "通过", 5: "待定"}
"""What 王工 said of these groups: of one another thing."""


def team_site(folder: Path, photos: Sequence[Path], *, judged: bool = True) -> FastAPI:
    """Make the application of a run with a lead, 主任, and inspectors 李工, 王工 and 张工.

    Unless it is `judged`, nobody has done anything yet.
    """
    before = [group._replace(verdict=FAIL, line="BBU设备/中兴") for group in GROUPS]
    for name, groups in (("before", before), ("now", GROUPS)):
        write_run(folder / name, groups, photos)
        write_captions(folder / name, photos, desc=f"BBU设备/{name}")
    earlier, index = Index(folder / "before"), Index(folder / "now", audit_share=1.0)
    people = people_of(index.database)
    add(people, "主任", role="lead")
    add(people, "李工", "王工", "张工", "旧人")
    people.accounts.set_active("旧人", False, "主任")
    people.accounts.add("新人", "inspector", "主任")
    if judged:
        rules = Assignments(regions={"东": ("王工", "张工")}, share=("李工", "王工"))
        index.assignments.write(rules, "主任")
        SecondOpinions(index.database).plan(1.0, "all")
    prompting = Prompting(load_missions(), load_prompts())
    other = OtherRun("before", earlier, index.beside(earlier))
    app = create_app(Review("第 48 周", index, prompting, other), people=people)
    if judged:
        _judge(index, app.state.site.opinions)
    return app


def lone_site(run_dir: Path, token: str) -> FastAPI:
    """Make the application of a run without accounts, whose browsers need a token."""
    prompting = Prompting(load_missions(), load_prompts())
    return create_app(Review("第 47 周", Index(run_dir), prompting), token)


def _judge(index: Index, opinions: SecondOpinions) -> None:
    for number, choice in FIRSTS.items():
        group = index.group(number)
        assert group is not None
        opinion = Opinion(choice=choice, comment="螺丝未拧紧", fault="未拧紧")
        first = index.decisions.add(Decision.on(group.entry, opinion, "李工"))
        if second := SECONDS.get(number):
            drawn = Drawn(first, 1.0)
            opinions.add(group.entry, Opinion(choice=second, comment="看不清"), "王工", 1, drawn)


@contextmanager
def running(app: FastAPI) -> Iterator[str]:
    """Serve an application in this process; give its address."""
    config = uvicorn.Config(app, port=0, log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
