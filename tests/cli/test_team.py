"""`shenhe team`: accounts from the command line, and nothing secret where it does not belong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shenhe.cli.main import exit_code
from shenhe.cli.team import PASSWORD
from shenhe.review import Index
from shenhe.rows.decision_rows import Decision, Opinion
from shenhe.team import People, SignedIn, open_database
from tests.review.runs import thirty, write_run


def _run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = exit_code(["team", *words])
    out = capsys.readouterr()
    return code, out.out, out.err


def test_accounts_by_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(tmp_path)
    assert "no accounts" in _run(capsys, run)[1]
    code, out, err = _run(capsys, run, "--add", "王工")
    assert (code, out) == (2, "")
    assert "first account is a lead's" in err
    code, out, err = _run(capsys, run, "--add", "李工", "--role", "lead")
    match = re.fullmatch(r"http://127\.0\.0\.1:8765/join#(\S{43})\n", out)
    assert code == 0
    assert match
    people = People.of(open_database(tmp_path))
    account = people.accounts.of_link(match[1])
    assert account is not None
    assert (account.name, account.role) == ("李工", "lead")
    address = ("--address", "https://review.example/")
    code, out, _ = _run(capsys, run, "--add", "王工", *address)
    assert out.startswith("https://review.example/join#")
    code, out, _ = _run(capsys, run, "--reset", "王工")
    assert people.accounts.of_link(out.strip().partition("#")[2])
    assert _run(capsys, run, "--change", "王工", "--role", "lead")[:2] == (0, "")
    assert _run(capsys, run, "--disable", "王工")[:2] == (0, "")
    listed = _run(capsys, run)[1]
    assert "disabled" in listed
    assert "no password yet" in listed
    assert _run(capsys, run, "--enable", "王工")[0] == 0
    for words in (
        *(("--disable", "nobody"), ("--add", "李工"), ("--change", "李工"), ("--role", "lead")),
        *(
            ("--add", "a", "--disable", "b"),
            ("--add", "a\u202eb"),
            ("--reset", "李工", "--role=lead"),
        ),
    ):
        code, out, err = _run(capsys, run, *words)
        assert (code, out) == (2, ""), words
        assert err.count("\n") == 1
    kinds = [(event.kind, event.actor) for event in people.events.all()]
    assert ("role_changed", "shenhe team") in kinds
    assert _run(capsys, str(tmp_path / "missing"))[0] == 2


def test_a_password_comes_from_the_environment_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    password = "秘密的 password 7"
    words = (str(tmp_path), "--add", "李工", "--role", "lead", "--ask-password")
    code, _, err = _run(capsys, *words)
    assert code == 2
    assert PASSWORD in err
    monkeypatch.setenv(PASSWORD, "short")
    assert "too short" in _run(capsys, *words)[2]
    monkeypatch.setenv(PASSWORD, password)
    code, out, err = _run(capsys, *words)
    assert (code, out) == (0, "")
    assert password not in err
    sessions = People.of(open_database(tmp_path)).sessions
    assert isinstance(sessions.sign_in("李工", password, ""), SignedIn)
    assert password not in "".join(
        path.read_bytes().decode("utf-8", "replace") for path in tmp_path.rglob("*.sqlite*")
    )


def test_figures_of_a_team_as_files(
    tmp_path: Path, demo_photos: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "run", thirty()[:3], demo_photos[:1])
    folder = tmp_path / "figures"
    assert _run(capsys, str(run), "--add", "李工", "--role", "lead")[0] == 0
    index = Index(run)
    group = index.group(1)
    assert group is not None
    opinion = Opinion(choice="通过", comment="=1+1")
    index.decisions.add(Decision.on(group.entry, opinion, "李工"))
    code, out, _ = _run(capsys, str(run), "--report", str(folder), "--zone", "+08:00")
    assert code == 0
    assert out.count(" rows") == 7
    assert "李工,1,0,0,0,0" in (folder / "work.csv").read_text("utf-8-sig")
    trail = (folder / "trail.csv").read_text("utf-8-sig")
    assert "'=1+1" in trail
    assert "account_added" in trail
    for words in (("--zone", "+08:00"), ("--report", str(folder), "--zone", "east")):
        assert _run(capsys, str(run), *words)[0] == 2


def test_assignments_and_figures_that_cannot_be(
    tmp_path: Path, demo_photos: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run, rules = tmp_path / "run", tmp_path / "rules.toml"
    write_run(run, thirty()[:3], demo_photos[:1])
    rules.write_text('[missions]\n"没有的任务" = ["李工"]', "utf-8")
    code, _, err = _run(capsys, str(run), "--assign", str(rules))
    assert (code, err.count("\n")) == (2, 1)
    assert "李工" in err
    assert _run(capsys, str(run), "--add", "李工", "--role", "lead")[0] == 0
    code, _, err = _run(capsys, str(run), "--assign", str(rules))
    assert code == 0
    assert "no groups of the mission yet: 没有的任务" in err
    rules.write_text("region_field = 5", "utf-8")
    code, _, err = _run(capsys, str(run), "--assign", str(rules))
    assert (code, err.count("\n")) == (2, 1)
    code, _, err = _run(capsys, str(run), "--report", str(rules))
    assert (code, err.count("\n")) == (2, 1)
    assert _run(capsys, str(tmp_path), "--report", str(tmp_path / "figures"))[0] == 2
    assert not (tmp_path / "figures").exists()
