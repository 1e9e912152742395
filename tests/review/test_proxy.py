"""Behind a proxy with TLS: the example of nginx, and what the review believes of whom."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlencode

import pytest

from shenhe.cli.main import main
from shenhe.review.index import Filters, Index
from shenhe.rows.decisions import Decisions
from shenhe.web.addresses import read_public_url
from tests.review.runs import TIME, thirty, write_run
from tests.servers.nginx import NAME, Proxy, proxy_ports, running_nginx
from tests.servers.starting import free_port
from tests.warm import SHENHE

TOKEN = "a-token-of-the-test"


class Client:
    """A browser that knows where the name of the site is, and keeps its cookies."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy, self.cookies = proxy, ""
        self.origin = f"https://{NAME}:{proxy.port}"

    def send(
        self, method: str, path: str, form: dict[str, str] | None = None, **headers: str
    ) -> tuple[int, dict[str, str], str]:
        plain = socket.create_connection(("127.0.0.1", self._proxy.port), timeout=20)
        secured = self._proxy.trust.wrap_socket(plain, server_hostname=NAME)
        with closing(http.client.HTTPSConnection(NAME, self._proxy.port)) as connection:
            connection.sock = secured
            sent = {"Cookie": self.cookies, "Accept": "text/html"} | {
                name.replace("_", "-"): value for name, value in headers.items()
            }
            connection.request(method, path, urlencode(form) if form else None, sent)
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
            told = {name.lower(): value for name, value in answer.getheaders()}
            for cookie in answer.headers.get_all("Set-Cookie", []):
                assert "; Secure" in cookie
                assert "HttpOnly" in cookie
                self.cookies += f"; {cookie.partition(';')[0]}"
            return answer.status, told, text


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory, demo_photos: list[Path]) -> Path:
    return write_run(tmp_path_factory.mktemp("proxied") / "run", thirty(), demo_photos[:1])


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, run_dir: Path) -> Iterator[Proxy]:
    ports, upstream = proxy_ports(), free_port()
    command = [
        *(*SHENHE, "review", str(run_dir), "--port", str(upstream)),
        *("--public-url", f"https://{NAME}:{ports[0]}/", "--proxy", "127.0.0.1"),
    ]
    environment = os.environ | {"SHENHE_REVIEW_TOKEN": TOKEN}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert f"https://{NAME}:{ports[0]}/login?token={TOKEN}" in line
    try:
        with running_nginx(tmp_path_factory.mktemp("nginx"), ports, upstream) as proxy:
            yield proxy
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
        process.stdout.close()


def test_a_reviewer_works_behind_nginx(proxy: Proxy, run_dir: Path) -> None:
    client = Client(proxy)
    # Without TLS there is nothing but the way to it.
    with closing(http.client.HTTPConnection("127.0.0.1", proxy.plain_port)) as plain:
        plain.request("GET", "/group/1?state=open", headers={"Host": "evil.example"})
        answer = plain.getresponse()
        assert (answer.status, answer.headers["Location"]) == (
            301,
            f"{client.origin}/group/1?state=open",
        )
    assert client.send("GET", "/")[0] == 303
    assert client.send("GET", f"/login?token={TOKEN}")[0] == 303
    client.send("POST", "/name", {"reviewer": "李工"}, Origin=client.origin)
    status, headers, text = client.send("GET", "/group/1")
    assert (status, "李工" in text) == (200, True)
    assert headers["strict-transport-security"].startswith("max-age=")
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    key = Index(run_dir).page(Filters())[0].key
    form = {"key": key, "version": "0", "seen": TIME, "choice": "不通过"}
    for origin in (
        "https://evil.example",
        f"http://{NAME}:{proxy.port}",
        f"https://{NAME}",
        "null",
    ):
        assert client.send("POST", "/group/1", form, Origin=origin)[0] == 403
    assert client.send("POST", "/group/1", form)[0] == 403
    assert Decisions(run_dir).trail() == []
    status, headers, _ = client.send("POST", "/group/1", form, Origin=client.origin)
    assert (status, headers["location"]) == (303, "/group/2")
    (decision,) = Decisions(run_dir).trail()
    assert decision.reviewer == "李工"
    # No other name, and no larger body than the review itself takes.
    assert client.send("GET", "/", Host="evil.example")[0] == 421
    assert client.send("GET", "/", Host="127.0.0.1")[0] == 421
    assert client.send("POST", "/group/1", {"x": "y" * 1_100_000}, Origin=client.origin)[0] == 413


def test_the_certificate_is_looked_at(proxy: Proxy) -> None:
    stranger = Client(proxy._replace(trust=ssl.create_default_context()))
    with pytest.raises(ssl.SSLCertVerificationError):
        stranger.send("GET", "/")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--proxy", "*"], "--proxy *: give the address or network of the proxy"),
        (["--public-url", "review.example"], "give http:// or https:// and a host"),
        (["--public-url", "https://review.example/shenhe"], "without a path"),
        (["--public-url", "https://me:geheim@review.example"], "without a path"),
        (["--database", "mysql://me:geheim@db/x"], "give postgresql://USER@HOST/NAME"),
    ],
)
def test_options_that_cannot_be(
    run_dir: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["review", str(run_dir), "--port", "0", *options])
    errors = capsys.readouterr().err
    assert left.value.code == 2
    assert message in errors
    assert "geheim" not in errors


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("https://Review.Example/", "https://review.example"),
        ("https://review.example:8443", "https://review.example:8443"),
        ("http://review.example:80", "http://review.example"),
        ("https://[2001:DB8::1]:443", "https://[2001:db8::1]"),
        *(
            (address, "")
            for address in ("", "review.example", "ftp://x", "https://", "https://x:y")
        ),
        *((address, "") for address in ("https://x/?a", "https://x/#a", "https://[", "//x")),
    ],
)
def test_a_public_address_as_browsers_write_it(address: str, origin: str) -> None:
    assert read_public_url(address) == origin
