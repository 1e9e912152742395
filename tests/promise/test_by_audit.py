"""Promises on a blind audit."""

from pathlib import Path

import pytest

from shenhe.cli.main import exit_code
from shenhe.errors import OptionError, RunError
from shenhe.promise import Goal, Terms, describe, propose
from shenhe.rows.promises import read_promise
from tests.conftest import MISSION
from tests.promise.audited_runs import draw_week, write_run

TERMS = Terms(Goal(0.3), "audit")


def test_what_an_audit_certifies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_dir = write_run(tmp_path / "run", draw_week(0, 0.05, size=400), share=0.5)
    (finding,) = propose(run_dir, TERMS).findings.values()
    assert finding.threshold is not None
    assert 0 <= finding.threshold < 3
    assert finding.failed > 40
    (looks,) = [each for each in describe(propose(run_dir, TERMS)) if each.en.startswith(MISSION)]
    assert " passed groups were looked at blind, " in looks.en
    assert "组里盲审了" in looks.zh
    output = tmp_path / "promise.json"
    words = ["promise", str(run_dir), "--truth", "audit", "--output", str(output)]
    assert exit_code([*words, "--max-false-pass", "0.3"]) == 0
    promise = read_promise(output)
    assert (promise.truth, promise.cluster) == ("audit", "none")
    assert promise.missions[MISSION].threshold == finding.threshold
    assert "more looks may be added" in capsys.readouterr().out
    # A machine that passes as many bad groups as may pass is never certified.
    bad = write_run(tmp_path / "bad", draw_week(1, 0.4, size=400), share=0.5)
    (finding,) = propose(bad, TERMS).findings.values()
    assert finding.threshold is None or finding.threshold > 2


def test_what_an_audit_cannot_tell(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "run", draw_week(0, 0.05, size=30), share=None)
    with pytest.raises(RunError, match="has no blind audit"):
        propose(run_dir, TERMS)
    (tmp_path / "train.jsonl").write_text("{}\n")
    for terms in (
        Terms(Goal(0.3), "audit", pooled=True),
        Terms(Goal(0.3), "audit", cluster="site"),
        Terms(Goal(0.3), "audit", not_these=(tmp_path / "train.jsonl",)),
    ):
        with pytest.raises(OptionError, match="not with an audit"):
            propose(run_dir, terms)
    audited = write_run(tmp_path / "few", draw_week(0, 0.05, size=20), share=0.5)
    (finding,) = propose(audited, TERMS).findings.values()
    assert finding.threshold is None
    assert "certifies nothing yet: look at more" in finding.problem.en
