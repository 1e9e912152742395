"""Commands on servers that answer oddly, as a user runs them; and what stands in no message."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from shenhe.cli.main import exit_code
from tests.conftest import DEMO, MISSION
from tests.servers.starting import Served, scripted
from tests.warm import SHENHE

PHOTOS = DEMO / "photos" / MISSION


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with scripted("--form", "structured_outputs", "--odd") as server:
        yield server


def _shenhe(*argv: object, url: str, **more: str) -> subprocess.CompletedProcess[str]:
    command = [*SHENHE, *map(str, argv), "--engine", "server"]
    command += ["--base-url", url, "--debug"]
    env = dict(os.environ) | more
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env)


def _rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.mark.parametrize("name", ["surrogate", "two_lengths", "deep", "no_http", "content_null"])
def test_every_photo_is_in_rows_or_failures_once(
    name: str, served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shenhe.engines.server.backoff.PAUSE_SECONDS", 0.001)
    options = ["--engine", "server", "--base-url", served.url, "--model", f"half-{name}"]
    command = ["summarize", "--data-root", str(DEMO / "photos"), "--mission", MISSION]
    assert exit_code([*command, "--output-dir", str(tmp_path), *options]) == 1
    rows = _rows(tmp_path / f"{MISSION}.jsonl")
    failures = _rows(tmp_path / f"{MISSION}.failures.jsonl")
    assert rows
    assert {row["code"] for row in failures} == {"bad_answer"}
    done = [row["group_id"] for row in rows] + sorted({str(row["group_id"]) for row in failures})
    assert sorted(map(str, done)) == sorted({p.parent.name for p in PHOTOS.rglob("img-*")})


@pytest.mark.parametrize("name", ["logprob_nan", "logprob_null", "logprob_clamped"])
def test_no_group_passes_by_scores_that_are_no_numbers(
    name: str, served: Served, tmp_path: Path
) -> None:
    lines = tmp_path / "lines.jsonl"
    row: dict[str, object] = {"mission": MISSION, "label": None, "images": ["a"]}
    row |= {"per_image": {"图片_1": "螺丝"}}
    row |= {"timestamp": "t", "meta": {"prompt_hash": "", "checkpoint": "", "answers": {}}}
    lines.write_text("".join(json.dumps(row | {"group_id": f"QC-{n}"}) + "\n" for n in range(6)))
    options = ["--engine", "server", "--base-url", served.url, "--model", name]
    command = ["judge", "--stage-a", str(lines), "--output-dir", str(tmp_path / "out")]
    assert exit_code([*command, *options, "--pass-above", "0"]) == 1
    rows = _rows(tmp_path / "out" / f"{MISSION}.jsonl")
    assert [(r["status"], r["verdict"], r["p_pass"]) for r in rows] == [
        ("undecided", None, None)
    ] * 6
    failures = _rows(tmp_path / "out" / f"{MISSION}.failures.jsonl")
    assert {failure["code"] for failure in failures} == {"unsure"}


@pytest.mark.parametrize("name", ["echo_text", "echo_error"])
def test_what_opens_a_server_stands_in_no_file(name: str, served: Served, tmp_path: Path) -> None:
    url, password = served.url.replace("://", "://me:ge%23heim-9@"), "heim-9"
    run = _shenhe(
        *("caption", PHOTOS, "--output", tmp_path / "c.jsonl", "--model", name),
        *("--log-file", tmp_path / "log.jsonl"),
        url=url,
        SHENHE_API_KEY="sk-geheim-7",
    )
    assert run.returncode == 1
    told = run.stdout + run.stderr
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.suffix for path in written} >= {".json", ".jsonl"}
    told += "".join(path.read_bytes().decode("utf-8", "replace") for path in written)
    assert "asking http://***@127.0.0.1" in told
    assert password not in told
    assert "sk-geheim" not in told
    assert "bWU6" not in told  # the two as the header holds them


def test_a_traceback_tells_no_password() -> None:
    url = "http://me:geheim-9@127.0.0.1:9/v1"
    run = _shenhe("chat", "--prompt", "你好", "--model", "M", url=url)
    assert run.returncode == 2
    assert "Traceback" in run.stderr
    assert "--base-url http://***@127.0.0.1:9/v1: no OpenAI-compatible server" in run.stderr
    assert "geheim" not in run.stderr + run.stdout


def test_doctor_tells_no_password(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    url = served.url.replace("://", "://me:geheim-9@")
    options = ["--engine", "server", "--base-url", url, "--model", "scripted", "--no-load"]
    exit_code(["doctor", *options])
    told = capsys.readouterr()
    assert "http://***@127.0.0.1" in told.out
    assert "geheim" not in told.out + told.err


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--hub_token", "hf_geheim"], "--hub-token"),
        (["--hub_token=hf_geheim"], "--hub-token"),
        (["--use_hf", "true", "--hub_token", "hf_geheim", "hf_geheim"], "--use-hf --hub-token"),
    ],
)
def test_ignored_options_are_named_without_their_values(
    words: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(["infer", "--model", "nope", *words]) == 2
    told = capsys.readouterr().err
    assert re.search(f"are ignored: {named}\n", told)
    assert "geheim" not in told
    with pytest.raises(SystemExit):
        exit_code(["caption", "x", "--model", "nope", "--output", "y", *words])
    told = capsys.readouterr().err
    assert f"unrecognized arguments: {named} (see" in told
    assert "geheim" not in told


def test_an_option_that_nobody_knows_is_named_beside_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        exit_code(["infer", "--model", "nope", "--hub_token=hf_geheim", "-z"])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert "unrecognized arguments: -z (see" in told
    assert "geheim" not in told


def test_an_unknown_word_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        exit_code(["report", "out", "further"])
    assert "unrecognized arguments: further" in capsys.readouterr().err


@pytest.fixture(autouse=True)
def _loggers() -> Iterator[None]:
    yield
    logging.getLogger("shenhe").handlers.clear()
