"""The server itself: access, refusals, and kill -9 between decisions."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import threading
from contextlib import closing
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from shenhe.cli.main import main
from shenhe.review.index import Filters, Index
from shenhe.rows.decisions import Decisions
from shenhe.rows.sheets import safe_cell
from shenhe.web.addresses import is_loopback
from shenhe.web.static_files import tag_files
from tests.review.runs import TIME, Group, served, thirty, write_run
from tests.warm import COLD

HTML = {"Accept": "text/html"}


class Client:
    """An HTTP client that sends paths and headers unchanged."""

    def __init__(self, url: str) -> None:
        self.host = urlsplit(url).netloc

    def send(
        self, method: str, path: str, headers: dict[str, str] | None = None, **form: str
    ) -> tuple[int, dict[str, str], bytes]:
        body = urlencode(form) if form else None
        with closing(http.client.HTTPConnection(self.host, timeout=20)) as connection:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            content = answer.read()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, content

    def decide(self, number: int, key: str, version: int = 0, choice: str = "不通过") -> int:
        headers = {"Origin": f"http://{self.host}", "Accept": "application/json"}
        form = {"key": key, "version": str(version), "seen": TIME, "choice": choice}
        return self.send("POST", f"/group/{number}", headers, **form)[0]


@pytest.fixture
def run_dir(tmp_path: Path, demo_photos: list[Path]) -> Path:
    return write_run(tmp_path / "run", thirty(), demo_photos[:2])


def test_only_its_own_pages_may_write(run_dir: Path) -> None:
    key = Index(run_dir).page(Filters())[0].key
    form = {"key": key, "version": "0", "seen": TIME, "choice": "通过"}
    with served(run_dir) as running:
        client = Client(running.url)
        for origin in (None, "null", "http://evil.example", f"http://{client.host}.evil.example"):
            headers = {"Origin": origin} if origin else {}
            assert client.send("POST", "/group/1", headers, **form)[0] == 403
            assert client.send("POST", "/undo", headers)[0] == 403
        # DNS rebinding: a foreign page can give its own name this machine's address.
        assert client.send("GET", "/", {"Host": "evil.example"})[0] == 421
        assert client.send("GET", "/", {"Host": "localhost:1"})[0] == 200
        assert Decisions(run_dir).trail() == []
        assert client.decide(1, key) == 200
        assert len(Decisions(run_dir).trail()) == 1


def test_only_what_was_seen_is_decided(run_dir: Path, demo_photos: list[Path]) -> None:
    key = Index(run_dir).page(Filters())[0].key
    with served(run_dir) as running:
        client = Client(running.url)
        # A page of another run, or of rows that have been judged again since, decides nothing.
        assert client.decide(1, "挡风板安装检查\x1f\x1fanother") == 409
        headers = {"Origin": f"http://{client.host}"}
        form = {"key": key, "version": "0", "choice": "通过", "comment": "看过了"}
        status, _, content = client.send("POST", "/group/1", headers, seen="2025", **form)
        assert status == 409
        assert "看过了" in content.decode()
        assert Decisions(run_dir).trail() == []
        # The number is another group's: the key counts.
        assert client.decide(9, key) == 200
        (decision,) = Decisions(run_dir).trail()
        assert decision.key == key


def test_a_page_names_each_file_that_it_needs_once(run_dir: Path) -> None:
    """A module that only another names is fetched after it: the head names all."""
    with served(run_dir) as running:
        client = Client(running.url)
        page = client.send("GET", "/group/1")[2].decode()
        sheets = re.findall(r'<link rel="stylesheet"[^>]* href="([^"]+)"', page)
        assert [Path(sheet).name for sheet in sheets] == ["sheets.css", "dark.css"]
        joined = client.send("GET", sheets[0])[2]
        assert b".viewer" in joined
        assert b".verdict" in joined
        modules = set(re.findall(r'<link rel="modulepreload" href="([^"]+)"', page))
        (script,) = re.findall(r'<script type="module" src="([^"]+)"', page)
        imported = {
            f"{Path(module).parent}/{name}"
            for module in (script, *modules)
            for name in re.findall(r'import .*"\./([^"]+)"', client.send("GET", module)[2].decode())
        }
        assert imported == modules


def test_headers_and_what_is_not_there(run_dir: Path) -> None:
    with served(run_dir) as running:
        client = Client(running.url)
        for path in (
            "/",
            "/group/1",
            "/photo/1/1/small.jpg",
            "/nothing",
            f"/static/{tag_files('shenhe.review')}/app.js",
        ):
            _, headers, _ = client.send("GET", path)
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert headers["x-content-type-options"] == "nosniff"
        assert client.send("GET", "/photo/1/1/small.jpg")[1]["content-type"] == "image/jpeg"
        for path in (
            *("/group/0", "/group/31", "/group/x", "/export/passwd", "/docs"),
            *("/photo/1/3/small.jpg", "/photo/1/0/small.jpg", "/photo/1/1/huge.jpg"),
            *("/overlay/1/1/small.jpg", "/photo/1/%2fetc%2fpasswd/small.jpg"),
            *("/static/../app.py", "/static/%2e%2e%2fapp.py"),
        ):
            assert client.send("GET", path)[0] in (400, 404), path
        origin = {"Origin": f"http://{client.host}"}
        key = Index(run_dir).page(Filters())[0].key
        for form in ({}, {"version": "x"}, {"version": "0", "choice": "也许"}):
            assert client.send("POST", "/group/1", origin, key=key, **form)[0] == 400
        assert client.send("POST", "/group/1", origin, comment="长" * 500_000)[0] == 413
        for address in ("//evil.example", "/\\evil.example", "http://evil.example"):
            _, headers, _ = client.send("POST", "/language", origin, language="en", here=address)
            assert headers["location"] == "/"


def test_no_photo_is_taken_for_another(
    run_dir: Path, tmp_path: Path, demo_photos: list[Path]
) -> None:
    path = "/photo/1/1/small.jpg"
    with served(run_dir) as running:
        client = Client(running.url)
        _, first, content = client.send("GET", path)
        assert "no-cache" in first["cache-control"]
        condition = {"If-None-Match": first["etag"]}
        assert client.send("GET", path, condition)[::2] == (304, b"")
        assert client.send("GET", "/photo/1/2/small.jpg", condition)[0] == 200
        assert client.send("GET", "/photo/1/1/large.jpg", condition)[0] == 200
        assert client.send("GET", f"{path}?of=000000000000")[0] == 404
    # Another run may have another photo at the same address: the cached one must not be shown.
    second_run = write_run(tmp_path / "other", thirty(), demo_photos[5:7])
    with served(second_run) as running:
        status, _, instead = Client(running.url).send("GET", path, condition)
        assert status == 200
        assert instead != content


def test_other_addresses_ask_for_a_token(run_dir: Path) -> None:
    with served(run_dir, "--host", "0.0.0.0") as running:  # all addresses: loopback among them
        port = urlsplit(running.url).port
        token = urlsplit(running.url).query.partition("=")[2]
        assert len(token) >= 32
        client = Client(f"http://127.0.0.1:{port}")
        assert client.send("GET", "/", HTML)[:1] == (303,)
        assert client.send("GET", "/")[0] == 401
        assert client.send("GET", "/photo/1/1/small.jpg")[0] == 401
        assert client.send("GET", "/export/decisions.csv")[0] == 401
        assert client.send("GET", "/login?token=wrong")[0] == 403
        status, headers, _ = client.send("GET", f"/login?token={token}")
        assert status == 303
        cookie = headers["set-cookie"].partition(";")[0]
        assert "HttpOnly" in headers["set-cookie"]
        assert client.send("GET", "/", {"Cookie": cookie})[0] == 200
        # There is no name yet, and no default one on a server for others.
        origin = {"Origin": f"http://{client.host}", "Cookie": cookie}
        status, headers, _ = client.send("POST", "/group/1", origin, version="0", choice="通过")
        assert (status, headers["location"]) == (303, "/name")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        *(("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True)),
        *(("0.0.0.0", False), ("10.0.0.8", False), ("localhost.evil.example", False), ("", False)),
    ],
)
def test_what_loopback_is(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback


def test_kill_nine_in_the_middle_of_five_hundred_decisions(
    tmp_path: Path, demo_photos: list[Path]
) -> None:
    groups = [Group(f"QC-{number:07d}") for number in range(500)]
    run_dir = write_run(tmp_path / "run", groups, demo_photos[:1])
    keys = [entry.key for entry in Index(run_dir).page(Filters(), count=500)]
    acknowledged: list[str] = []
    with served(run_dir, shenhe=COLD) as running:

        def work(mine: slice) -> None:
            client = Client(running.url)
            for number, key in list(enumerate(keys, 1))[mine]:
                try:
                    status = client.decide(number, key)
                except (OSError, http.client.HTTPException):
                    return
                assert status == 200
                acknowledged.append(key)
                if len(acknowledged) == 300:
                    os.kill(running.process.pid, signal.SIGKILL)

        threads = [threading.Thread(target=work, args=(slice(n, None, 2),)) for n in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert 300 <= len(acknowledged) < 500
    kept = {decision.key for decision in Decisions(run_dir).all_current()}
    assert kept >= set(acknowledged)
    assert len(kept) <= len(acknowledged) + 2  # written, but not yet acknowledged
    # The same command continues.
    with served(run_dir) as running:
        client = Client(running.url)
        for number, key in enumerate(keys, 1):
            if key not in kept:
                assert client.decide(number, key) == 200
        assert client.decide(1, keys[0]) == 409
    assert len(list(Decisions(run_dir).all_current())) == 500


def test_exports_from_the_command_line(
    run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(run_dir, "--reviewer", "=HYPERLINK(0)") as running:
        client = Client(running.url)
        keys = [entry.key for entry in Index(run_dir).page(Filters())]
        assert client.decide(3, keys[2]) == 200  # overruled without a reason
        assert client.decide(1, keys[0], choice="待定") == 200
    with pytest.raises(SystemExit) as left:
        main(["review", str(run_dir), "--export", str(tmp_path / "out")])
    assert left.value.code == 0
    output = capsys.readouterr()
    assert "no reason to learn" in output.err
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("decisions.csv", "decisions.xlsx", "decisions.jsonl"),
        *("excluded.txt", "excluded.csv", "excluded.jsonl", "unknown_descs.csv"),
        *("stage_a.jsonl", "stage_b.jsonl", "captions.jsonl"),
    }
    sheet = (tmp_path / "out" / "decisions.csv").read_text(encoding="utf-8-sig")
    assert "'=HYPERLINK(0)" in sheet
    assert ",=HYPERLINK" not in sheet
    (first, second) = (tmp_path / "out" / "decisions.jsonl").read_text("utf-8").splitlines()
    assert json.loads(first)["reviewer"] == "=HYPERLINK(0)"
    assert json.loads(second)["said"]["choice"] == "待定"


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        *(("=1+1", "'=1+1"), ("+86", "'+86"), ("-1+1", "'-1+1"), ("@x", "'@x"), ("\t=1", "'\t=1")),
        *(("＝1+1", "'＝1+1"), ("＋1", "'＋1"), ("－1", "'－1"), ("＠x", "'＠x")),
        *(("-0.15", "-0.15"), ("-1", "-1"), ("-1\n", "'-1\n"), ("-x", "'-x")),
        *(("a\x00b", "a\ufffdb"), (None, ""), (3, "3"), ("通过", "通过")),
    ],
)
def test_cells_are_no_formulas(value: object, cell: str) -> None:
    assert safe_cell(value) == cell


def test_options_that_cannot_be(
    run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(run_dir) as running:
        port = str(urlsplit(running.url).port)
        for arguments, message in (
            ([str(run_dir), "--port", port], "name another"),
            ([str(run_dir), "--port", "99999"], "name another"),
            ([str(tmp_path / "nothing")], "no verdicts"),
        ):
            with pytest.raises(SystemExit) as left:
                main(["review", *arguments])
            assert left.value.code == 2
            assert message in capsys.readouterr().err
    assert not (tmp_path / "nothing").exists()
