"""People who work at once: each gets another group, on one server or several, come what may."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from shenhe.config import load_missions, load_prompts
from shenhe.review import Index, Prompting, Review, create_app
from shenhe.review.index import Filters
from shenhe.team import open_database
from tests.review.runs import TIME, thirty, write_run
from tests.servers.postgres import PASSWORD, Postgres

ORIGIN = {"Origin": "http://localhost", "Accept": "application/json"}
HELD_ZH, HELD_EN = "正打开着这一组", "has this group open"


class Reviewer:
    """A browser of one person, on one of the servers."""

    def __init__(self, client: TestClient, index: Index, name: str) -> None:
        self._client, self._index = client, index
        self._cookies = f"reviewer={quote(name)}; language=zh"
        self.at = ""

    def open(self, path: str, language: str = "zh") -> str:
        cookies = self._cookies.replace("=zh", f"={language}")
        answer = self._client.get(path, headers={"Cookie": cookies})
        self.at, self.status = path, answer.status_code
        return answer.text

    def send(self, path: str, **form: str) -> tuple[int, dict[str, str]]:
        headers = ORIGIN | {"Cookie": self._cookies}
        answer = self._client.post(path, data=form, headers=headers, follow_redirects=False)
        self.text = answer.text
        is_json = "json" in answer.headers.get("content-type", "")
        return answer.status_code, answer.json() if is_json else {}

    def decide(self, choice: str = "不通过", version: int = 0, comment: str = "") -> int:
        """Decide the group that is open, and open the next one."""
        status, told = self.send(
            self.at, key=self.key, version=str(version), seen=TIME, choice=choice, comment=comment
        )
        if status == 200:
            self.open(told["next"])
        return status

    @property
    def key(self) -> str:
        group = self._index.group(int(self.at.partition("?")[0].rpartition("/")[2]))
        assert group is not None
        return group.entry.key


@pytest.fixture
def run_dir(tmp_path: Path, demo_photos: list[Path]) -> Path:
    return write_run(tmp_path / "run", thirty(), demo_photos[:1])


@pytest.fixture(params=["sqlite", "postgresql"])
def servers(
    request: pytest.FixtureRequest, run_dir: Path
) -> Iterator[list[tuple[TestClient, Index]]]:
    """Two servers of one run, in its own file or in a database."""
    is_shared = request.param == "postgresql"
    url = request.getfixturevalue("shared_url") if is_shared else ""
    prompting = Prompting(load_missions(), load_prompts())
    opened = []
    with ExitStack() as stack:
        for _ in range(2):
            database = open_database(run_dir, url)
            stack.callback(database.close)
            index = Index(run_dir, audit_share=1.0, database=database)
            app = create_app(Review("out", index, prompting))
            client = stack.enter_context(TestClient(app, base_url="http://localhost"))
            opened.append((client, index))
        yield opened


def test_nobody_gets_the_group_of_somebody_else(servers: list[tuple[TestClient, Index]]) -> None:
    one, two, three = (Reviewer(*servers[n % 2], name) for n, name in enumerate("李王赵"))
    for reviewer in (one, two, three):
        reviewer.open("/group/1")
    for reviewer, other in ((two, "李"), (three, "李")):
        assert HELD_ZH in reviewer.open("/group/1")
        assert f"<bdi>{other}</bdi>" in reviewer.open("/group/1", "en")
        assert HELD_EN in reviewer.open("/group/1", "en")
    # Who has it decides, and is led to the next one; the others' moves lead past both.
    assert one.decide() == 200
    assert one.at == "/group/2"
    assert 'href="/group/3"' in two.open("/group/1")
    two.open("/group/3")
    for _ in range(9):
        for reviewer in (one, two, three):
            version = 1 if reviewer is three and reviewer.at == "/group/1" else 0
            assert reviewer.decide(version=version) == 200
    index = servers[0][1]
    trail = index.decisions.trail()
    assert len(trail) == 28
    assert len({decision.key for decision in trail}) == 27  # 赵 overruled the first, on purpose
    assert index.progress(Filters()).decided == 27


def test_the_last_groups_are_with_others(servers: list[tuple[TestClient, Index]]) -> None:
    one, two = (Reviewer(*server, name) for server, name in zip(servers, "李王", strict=True))
    two.open("/group/30")
    one.open("/group/1")
    while one.at.startswith("/group/"):
        assert one.decide() == 200
    assert one.at == "/?told=end_held"
    assert "剩下的待审组正由同事打开着" in one.open(one.at)
    assert "Colleagues have the remaining" in one.open(one.at, "en")
    # A page that was left lets go; one that says that it is open holds on.
    assert two.send("/hold", key=two.key, page="p") == (200, {"holder": ""})
    one.open("/group/30")
    assert one.send("/hold", key=one.key, page="q") == (200, {"holder": "王"})
    assert two.send("/leave", key=two.key, page="p")[0] == 204
    assert one.send("/hold", key=one.key, page="q") == (200, {"holder": ""})
    assert one.send("/hold", key="another", page="q")[0] == 404
    assert one.decide() == 200
    assert one.at == "/?told=end"


def test_blind_groups_are_held_too(servers: list[tuple[TestClient, Index]]) -> None:
    one, two = (Reviewer(*server, name) for server, name in zip(servers, "李王", strict=True))
    queue = servers[0][1].audit
    assert queue is not None
    first, second = queue.page("李", count=2)
    one.open(f"/audit/{first.ticket}")
    assert f'class="begin" href="/audit/{second.ticket}"' in two.open("/audit")
    assert HELD_ZH in two.open(f"/audit/{first.ticket}")
    assert two.send("/hold", ticket=first.ticket, page="p") == (200, {"holder": "李"})
    # It is one group, whichever queue leads to it.
    assert HELD_ZH in two.open(f"/group/{first.number}")


@pytest.mark.parametrize("servers", ["postgresql"], indirect=True)
def test_a_database_that_is_away(
    servers: list[tuple[TestClient, Index]], postgres: Postgres
) -> None:
    one = Reviewer(*servers[0], "李")
    one.open("/group/1")
    key = one.key
    postgres.kill9()
    try:
        status, _ = one.send(
            "/group/1", key=key, version="0", seen=TIME, choice="不通过", comment="松了<b>"
        )
        assert status == 503
        assert "现在连不上数据库" in one.text
        assert "松了&lt;b&gt;" in one.text
        one.send("/sign-in", name="李", password="geheim-of-a-person")
        assert "geheim-of-a-person" not in one.text
        assert "cannot be reached now" in one.open("/", "en")
        assert one.status == 503
        assert PASSWORD not in one.text + one.open("/")
    finally:
        postgres.start()
    one.open("/group/1")
    assert one.status == 200
    assert one.decide(comment="松了") == 200
    assert len(servers[1][1].decisions.trail()) == 1
