"""Invalid requests of all kinds are refused, and decide nothing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from shenhe.config import load_missions, load_prompts
from shenhe.review import Index, Prompting, Review, create_app
from shenhe.review.faults import faults_digest, find_faults
from shenhe.review.index import Filters
from shenhe.rows.decision_rows import Opinion
from shenhe.rows.decisions import Decisions
from tests.review.runs import PASS, TIME, served, thirty, write_captions, write_run

WIRE = (
    '{"图片_1":[{"key":"new_1","kind":"line","points":[[0,0],[9,9]],'
    '"desc":"电线/分布散乱","kept":false}]}'
)
HERE = "http://127.0.0.1:8765"
REFUSED = (
    *("9223372036854775808", "-9223372036854775809", "18446744073709551616", "9" * 5000),
    *("%00", "1%00", "%ED%A0%80", "%FF", "%C3%28", "x" * 20_000),
)
"""Numbers too large for SQLite, NUL, invalid UTF-8 and lone surrogates, percent-encoded."""
ODD = (
    *(
        "-1",
        "0",
        "9223372036854775807",
        "1e5",
        "0x10",
        "%EF%BC%91",
        "%2B1",
        "1_0",
        "NaN",
        "inf",
        "",
    ),
    *(
        "%20",
        "%25",
        "_",
        "%22",
        "%22%22%22",
        "NEAR(",
        "*",
        "AND",
        "%5E",
        "x:y",
        "'%3B--",
        "%7B%7B7*7%7D%7D",
    ),
    *("%E2%80%AEabc", "%F0%9F%93%B7" * 9, "%EF%BF%BE", "a%0Ab", "..%2F..", "undefined", "None"),
)
ADDRESSES = (
    *("/group/{}", "/photo/{}/1/small.jpg", "/photo/1/{}/small.jpg", "/photo/1/1/{}.jpg"),
    *("/photo/1/{}/full.jpg", "/static/{}/app.js", "/static/a/{}", "/export/{}", "/{}"),
    *("/?after={}", "/?text={}", "/?mission={}", "/?verdict={}", "/?state={}", "/?against={}"),
    *("/?told={}&about={}", "/group/1?text={}", "/group/1?told=undone&about={}", "/find?key={}"),
    *("/audit/{}", "/audit?after={}", "/?queue={}", "/audit/{}/photo/1/small.jpg"),
    *("/trail?before={}", "/photo/1/1/small.jpg?of={}", "/login?token={}"),
)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory, demo_photos: list[Path]) -> Path:
    folder = write_run(tmp_path_factory.mktemp("asked") / "run", thirty()[:6], demo_photos[:1])
    write_captions(folder, demo_photos[:1])
    return folder


@pytest.fixture(scope="module")
def client(run_dir: Path) -> Iterator[TestClient]:
    prompting = Prompting(load_missions(), load_prompts())
    app = create_app(Review("run", Index(run_dir), prompting), reviewer="李工")
    with TestClient(app, HERE, headers={"Origin": HERE}, follow_redirects=False) as client:
        yield client


@pytest.fixture
def form(run_dir: Path) -> dict[str, str]:
    entry = Index(run_dir).page(Filters())[0]
    return {"key": entry.key, "version": "0", "seen": TIME, "choice": PASS}


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_address_is_too_much(client: TestClient, address: str) -> None:
    for text in REFUSED:
        status = client.get(address.replace("{}", text)).status_code
        # A number instead of a word matches nothing, or is a text to search for.
        assert status in (400, 404) or ("x" not in text and text.strip("-").isdigit()), text[:30]
        numbered = address.startswith(("/group/{}", "/?after", "/trail"))
        assert status == 400 or not numbered, text[:30]
    for text in ODD:
        assert client.get(address.replace("{}", text)).status_code in (200, 303, 400, 403, 404), (
            text
        )


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(codec="utf-8"), max_size=30))
def test_any_words_can_be_searched_for(client: TestClient, text: str) -> None:
    status = client.get(f"/?text={quote(text)}").status_code
    assert status == (400 if "\0" in text else 200)


@pytest.mark.parametrize("field", ["key", "version", "seen", "choice", "comment", "fault"])
def test_no_form_is_too_much(
    client: TestClient, run_dir: Path, form: dict[str, str], field: str
) -> None:
    # The other fields are those of a page of rows that have been judged again since.
    fields = {**form, "seen": "2025", "comment": "看过"} | (
        {"version": "7"} if field == "seen" else {}
    )
    fields.pop(field, None)
    for text in (*REFUSED, *ODD):
        body = f"{urlencode(fields)}&{field}={text}"
        status = client.post("/group/1", content=body).status_code
        assert status in (400, 409), text[:30]
        broken = text in REFUSED[4:] or (text in REFUSED and field == "version")
        assert status == 400 or not broken, text[:30]
    assert Decisions(run_dir).trail() == []


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"\x00", b"\xff\xfe", b"[]", b'{"choice": "' + PASS.encode() + b'"}', b"=&=&="),
        *(b"choice=" + PASS.encode(), b"choice", b"a" * 999_999, b"%", b"choice=%ED%A0%80"),
    ],
)
@pytest.mark.parametrize("address", ["/group/1", "/undo", "/name", "/login", "/language"])
def test_no_body_is_too_much(client: TestClient, run_dir: Path, address: str, body: bytes) -> None:
    for kind in ("application/x-www-form-urlencoded", "application/json", "multipart/form-data"):
        answer = client.post(address, content=body, headers={"Content-Type": kind})
        assert answer.status_code in (303, 400, 403), body[:20]
        if address == "/group/1":
            assert answer.status_code == 400
    assert Decisions(run_dir).trail() == []


def test_only_a_decision_that_is_named_once_decides(
    client: TestClient, run_dir: Path, form: dict[str, str]
) -> None:
    undecided = {name: value for name, value in form.items() if name != "choice"}
    for body in (
        urlencode(undecided),
        *(urlencode({**undecided, "choice": choice}) for choice in ("", "1", "a", "pass", "通过 ")),
        urlencode(form) + "&choice=" + quote("不通过"),
        urlencode({**undecided, "despite": faults_digest(("生锈",)), "agree": "1", "通过": "通过"}),
        urlencode({**form, "version": "-1"}),
        urlencode({**form, "version": "9223372036854775807"}),
        urlencode({**form, "comment": "长" * 10_001}),
    ):
        assert client.post("/group/1", content=body).status_code == 400, body
    for method in ("PUT", "PATCH", "DELETE", "HEAD"):
        assert client.request(method, "/group/1", params=form).status_code == 405
    assert client.get("/group/1", params=form).status_code == 200
    assert client.post("/group/1", params=form).status_code == 400
    # An unknown filter is refused before anything is stored or taken back.
    assert client.post("/group/1?state=x", data=form).status_code == 400
    assert client.post("/undo?verdict=x").status_code == 400
    assert Decisions(run_dir).trail() == []


def test_a_pass_with_a_fault_is_asked_back_by_the_server(
    client: TestClient, run_dir: Path, form: dict[str, str]
) -> None:
    for fields, faults in (
        ({"fault": "生锈"}, ("生锈",)),
        ({"fault": "标签有误", "comment": "螺丝未 拧紧，露铜"}, ("标签有误", "未拧紧", "露铜")),
        ({"line-图片_1": "光纤/无保护措施"}, ("无保护措施",)),
        ({"shapes": WIRE}, ("分布散乱",)),
        ({"comment": "应为不通过"}, ("不通过",)),
    ):
        whole = {**form, **fields}
        answer = client.post("/group/1", data=whole)
        assert answer.status_code == 422
        assert all(fault in answer.text for fault in faults)
        shown = answer.text.replace("&#34;", '"')
        assert all(str(value) in shown for value in fields.values())
        json = client.post("/group/1", data=whole, headers={"Accept": "application/json"}).json()
        assert set(json["faults"]) == set(faults)
        # A confirmation of other faults does not count.
        confirmed = f"/group/1?despite={faults_digest(('未拧紧', '生锈'))}"
        assert client.post(confirmed, data=whole).status_code == 422
        assert client.post("/group/1?despite=1", data={**whole, "despite": "1"}).status_code == 422
    assert Decisions(run_dir).trail() == []
    assert client.post(json["despite"], data=whole).status_code == 303
    (decision,) = Decisions(run_dir).trail()
    assert decision.opinion == Opinion(choice=PASS, comment="应为不通过")
    assert client.post("/undo").status_code == 303
    assert Index(run_dir).progress(Filters()).decided == 0


@pytest.mark.parametrize(
    ("opinion", "faults"),
    [
        (Opinion(choice=PASS), ()),
        (Opinion(choice=PASS, comment="BBU无需安装挡风板，符合要求"), ()),
        (Opinion(choice=PASS, comment="ＢＢＵ不 符合\n要求"), ("不符合要求",)),
        (Opinion(choice=PASS, descs={"图片_1": {"object_1": None}}), ()),
        (Opinion(choice=PASS, lines={"图片_2": "螺丝/生锈×2"}, comment="生锈"), ("生锈",)),
    ],
)
def test_faults_that_are_written(opinion: Opinion, faults: tuple[str, ...]) -> None:
    assert find_faults(opinion, ("生锈", "不符合要求")) == faults


def test_names_and_headers(client: TestClient) -> None:
    for value in ("%00", "%ED%A0%80", "%E2%80%AE", "%0A", "x" * 5000, "\u00ff", '"', ";;="):
        for cookie in ("reviewer", "language", "shenhe_token"):
            headers = {b"Cookie": f"{cookie}={value}".encode("latin-1")}
            assert client.get("/group/1", headers=headers).status_code == 200
    for name, value in (
        *(("Accept-Language", "x" * 9000), ("Accept-Language", ",;q=,")),
        *(("If-None-Match", "\u00ff"), ("Accept", "\u00ff,,"), ("Range", "bytes=9-1")),
    ):
        headers = {name.encode(): value.encode("latin-1")}
        assert client.get("/photo/1/1/small.jpg", headers=headers).status_code == 200
    for host in ("[", "[::1", "]:80", "127.0.0.1:x@evil.example", "\u2100.example"):
        assert client.get("/", headers={b"Host": host.encode()}).status_code in (400, 421)
    for origin in ("http://[", "//", "http://127.0.0.1:8765.evil", "\u2100", "null", ""):
        answer = client.post("/undo", headers={b"Origin": origin.encode()})
        assert answer.status_code == 403


def test_a_name_that_does_not_show_is_none(client: TestClient) -> None:
    answer = client.post("/name", data={"reviewer": "\u202e\u200b \x1b\n"})
    assert answer.headers["location"] == "/name"
    answer = client.post("/name", data={"reviewer": "李\u202e工\x1b[31m " + "长" * 100})
    assert answer.headers["location"] == "/"
    assert quote("李 工 [31m 长长") in answer.headers["set-cookie"]
    client.cookies.clear()


def _ask(address: tuple[str, int], raw: bytes) -> bytes:
    with closing(socket.create_connection(address, timeout=10)) as connection:
        connection.sendall(raw)
        return connection.recv(200).split(b"\r\n")[0]


def test_bytes_that_no_library_would_send(run_dir: Path) -> None:
    with served(run_dir) as running:
        host = urlsplit(running.url).netloc
        address = ("127.0.0.1", int(host.partition(":")[2]))
        tail = f" HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n".encode()
        for raw in (
            *(b"GET /group/" + text.encode() + tail + b"\r\n" for text in REFUSED),
            b"GET /?text=\xff\xfe" + tail + b"\r\n",
            b"GET /\xe5\xae\xa1" + tail + b"\r\n",
            b"GET /?text=" + b"x" * 100_000 + tail + b"\r\n",
            b"GET http://[/" + tail + b"\r\n",
            b"POST /undo"
            + tail
            + b"Origin: http://"
            + host.encode()
            + b"\r\nContent-Length: -1\r\n\r\n",
            b"\x16\x03\x01\x02\x00",
            b"GET / HTTP/9.9\r\n\r\n",
            b"GET /" + tail + b"Cookie: reviewer=\xff\x00\r\n\r\n",
        ):
            status = _ask(address, raw)
            assert status.startswith(b"HTTP/1.1 4"), (raw[:40], status)
        assert _ask(address, b"GET /" + tail + b"\r\n") == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize("requests", ["nothing", "half"])
def test_ctrl_c_ends_it_whatever_clients_hold(run_dir: Path, requests: str) -> None:
    command = [sys.executable, "-m", "shenhe", "review", str(run_dir), "--port", "0"]
    command += ["--reviewer", "李工"]

    def heed_interrupts() -> None:
        # A shell's & makes its children ignore SIGINT.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
    )
    assert process.stdout is not None
    host = urlsplit(process.stdout.readline().split()[-1]).netloc
    address = ("127.0.0.1", int(host.partition(":")[2]))
    head = f"Host: {host}\r\nOrigin: http://{host}\r\n".encode()
    key = Index(run_dir).page(Filters())[5].key
    before = len(Decisions(run_dir).trail())
    body = urlencode({"key": key, "version": "0", "seen": TIME, "choice": "不通过"}).encode()
    post = b"POST /group/6 HTTP/1.1\r\n" + head + b"Content-Length: %d\r\n\r\n" % len(body)
    with ExitStack() as open_connections:
        if requests == "half":
            version = len(Decisions(run_dir).history(key))
            whole = body.replace(b"version=0", b"version=%d" % version)
            length = b"Content-Length: %d\r\n\r\n" % len(whole)
            first = b"POST /group/6 HTTP/1.1\r\n" + head + length + whole
            assert b"303" in _ask(address, first)
            before += 1
        for raw in (
            ()
            if requests == "nothing"
            else (
                *(b"", b"GET", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\n" + head),
                *(post, post + body[:-9], post + body[:9]),
                b"POST /undo HTTP/1.1\r\n" + head + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
                b"GET / HTTP/1.1\r\n" + head + b"\r\n",
            )
        ):
            connection = socket.create_connection(address, timeout=10)
            open_connections.callback(connection.close)
            connection.sendall(raw)
        began = time.monotonic()
        os.kill(process.pid, signal.SIGINT)
        _, error = process.communicate(timeout=30)
        seconds = time.monotonic() - began
    assert process.returncode == 130, error
    assert "Traceback" not in error
    assert "the same command goes on from there" in error
    assert seconds < 10
    assert len(Decisions(run_dir).trail()) == before
