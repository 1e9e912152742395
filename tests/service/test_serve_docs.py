"""The page of the service: its commands are of this version, its code works, its limits hold."""

from __future__ import annotations

import re
import shlex
import time
from dataclasses import fields
from pathlib import Path

import pytest

from shenhe.cli.command_line import parse
from shenhe.cli.serve import LimitOptions, ServeOptions
from shenhe.service import metrics, routes
from shenhe.service.deliveries import PAUSES
from shenhe.service.limits import Limits
from shenhe.service.webhooks import read_secret, sign

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [DOCS / "serve.md", DOCS / "zh" / "serve.md"]
each_page = pytest.mark.parametrize("page", PAGES, ids=["en", "zh"])


def _blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@each_page
def test_commands_are_those_of_this_version(page: Path) -> None:
    texts = [
        *_blocks(page, "bash"),
        *re.findall(r"`(shenhe serve [^`]+)`", page.read_text("utf-8")),
    ]
    lines = [
        line for text in texts for line in text.splitlines() if line.startswith("shenhe serve")
    ]
    assert len(lines) >= 8
    for line in lines:
        command, _, choices = re.sub(r"\s#.*", "", line).partition("[")
        alternatives = re.split(r"[\[\]|]", choices)
        for words in (command, *(f"{command} {part}" for part in alternatives if part.strip())):
            options = parse(shlex.split(words)[1:]).options
            assert isinstance(options, ServeOptions), words


@each_page
def test_a_signature_is_checked_as_the_page_says(page: Path) -> None:
    code = next(text for text in _blocks(page, "python") if "hmac" in text)
    names: dict[str, object] = {}
    exec(code, names)
    is_genuine = names["is_genuine"]
    assert callable(is_genuine)
    for secret in ("whsec_" + "QUJD" * 8, "a secret of sixteen and more"):
        now, body = int(time.time()), '{"type": "group.done", "data": {"reason": "符合"}}'.encode()
        cases = ((now, body, True), (now, body + b" ", False), (now - 900, body, False))
        for moment, sent, genuine in cases:
            headers = {
                "webhook-id": "job",
                "webhook-timestamp": str(moment),
                "webhook-signature": "v1,x " + sign(read_secret(secret), "job", moment, body),
            }
            assert is_genuine(secret, headers, sent) is genuine


@each_page
def test_limits_times_figures_and_addresses_are_those_of_the_code(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"^\| `--([a-z-]+)` \|", text, re.MULTILINE))
    options = {field.name.replace("_", "-") for field in fields(LimitOptions)}
    assert named == options - {"rate", "allow-host"}
    limits = Limits()
    assert f"| {limits.photos} " in text or f"每组 {limits.photos} 张" in text
    for number in (limits.backlog, limits.bytes_per_second):
        assert f"{number:,}" in text
    assert f"{limits.photo_bytes // 10**6} MB" in text
    assert f"{limits.group_bytes // 10**6} MB" in text
    assert len(PAUSES) == 8
    assert PAUSES[-1] == 12 * 3600
    source = Path(metrics.__file__).read_text(encoding="utf-8")
    figures = set(re.findall(r'"(shenhe_[a-z_]+)"', source)) - {"shenhe_requests"}
    figures -= {"shenhe_request_seconds"}
    assert figures == set(re.findall(r"`(shenhe_[a-z_]+)`", text))
    served = {
        re.sub(r"\{\w+(:\w+)?\}", "{id}", path)
        for router in routes.ROUTERS
        for path in (getattr(route, "path", "") for route in router.routes)
        if path.startswith("/v1/") and "models/" not in path
    }
    named = {part.partition("?")[0] for part in re.findall(r"`(?:GET |POST )?(/v1/[^`]+)`", text)}
    assert served <= named
