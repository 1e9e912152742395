"""What can be promised of a run: cut rows, decisions, clusters, missions, unreadable groups."""

import json
import math
from pathlib import Path

import pytest

from shenhe.errors import OptionError, RunError
from shenhe.promise import Goal, Proposal, Terms, describe, promise_tables, propose
from shenhe.promise.find import expect_left
from shenhe.rows.counts import RunCounts
from shenhe.rows.manifest import Manifest
from shenhe.values import FAIL, PASS
from tests.promise.runs import (
    MISSION,
    OTHER,
    Json,
    decide,
    failed_rows,
    good_rows,
    verdict_row,
    write_lines,
    write_run,
)

GOAL = Goal(0.05)


def _sentences(proposal: Proposal) -> list[str]:
    words = describe(proposal)
    assert all(each.zh and each.en for each in words)
    return [each.en for each in words]


def _threshold(proposal: Proposal, mission: str = MISSION) -> float | None:
    return proposal.findings[mission].threshold


def test_log_odds_tell_what_p_pass_cannot(tmp_path: Path) -> None:
    """All probabilities round to 1; of 100 failed groups one may pass."""
    rows = [*failed_rows(100, [45.0, 41.0, 40.0]), *good_rows(50), verdict_row(1, "pass", 43.0)]
    proposal = propose(write_run(tmp_path, rows), Terms(GOAL))
    assert _threshold(proposal) == math.nextafter(41.0, math.inf)
    (finding,) = proposal.findings.values()
    assert (finding.failed, finding.slipped, finding.allowed) == (100, 1, 1)
    assert (finding.left_to_people.count, finding.left_to_people.total) == (52, 151)
    (row,) = promise_tables(proposal)[0].rows
    assert row[1:6] == ["41.0000", "1 - 1.6e-18", "100", "1", "1"]


def test_what_further_labels_would_bring(tmp_path: Path) -> None:
    """Of 59 failed groups none may pass: the surest of them decides, drawn of these 100."""
    rows = [*failed_rows(100, [3.55, 2.25]), *good_rows(100)]
    (finding,) = propose(write_run(tmp_path, rows), Terms(GOAL)).findings.values()
    left = expect_left(finding, GOAL, (58, 59, 1000))
    neither, one = 0.98**59, 0.99**59 - 0.98**59
    assert left[58] is None
    assert left[59] == pytest.approx((1 - neither - one) * 38 / 200 + one * 24 / 200, abs=0.015)
    assert left[1000] == 0
    assert expect_left(finding, Goal(0.05, candidates=9), (59,)) == {59: None}


def test_a_threshold_a_mission_or_one_for_all(tmp_path: Path) -> None:
    rows = [*failed_rows(900, []), *good_rows(900)]
    rows += failed_rows(60, [2.0] * 30, mission=OTHER) + good_rows(100, mission=OTHER)
    run_dir = write_run(tmp_path, rows)
    single = propose(run_dir, Terms(GOAL))
    assert (_threshold(single), _threshold(single, OTHER)) == (0.0, math.nextafter(2.0, math.inf))
    pooled = propose(run_dir, Terms(GOAL, pooled=True))
    assert (_threshold(pooled), _threshold(pooled, OTHER)) == (0.0, 0.0)
    (table, more) = promise_tables(pooled)
    assert [row[0] for row in table.rows] == ["全部 all", MISSION, OTHER]
    assert table.rows[2][3:6] == ["60", "30", "0"]  # failed, of them pass, may pass
    assert [row[0] for row in more.rows] == ["全部 all"]
    assert any("promises nothing of any one of them" in line for line in _sentences(pooled))


def test_pooled_with_a_mission_that_was_cut(tmp_path: Path) -> None:
    """Of the cut groups no log-odds are known: what another mission passes says nothing of them."""
    rows = [*failed_rows(900, []), *good_rows(900)]
    rows += [verdict_row(1_000_000 + n, "pass", 2.5, mission=OTHER) for n in range(9)]
    rows += failed_rows(20, [], 2_000_000, mission=OTHER)
    rows += [
        verdict_row(3_000_000 + n, "fail", None, None, OTHER, why=["unsure"]) for n in range(300)
    ]
    pooled = propose(write_run(tmp_path, rows), Terms(GOAL, pooled=True))
    assert (_threshold(pooled), _threshold(pooled, OTHER)) == (2.5, 2.5)


def test_a_pass_with_a_p_pass_of_zero(tmp_path: Path) -> None:
    rows = [*failed_rows(100, []), *good_rows(50)]
    zero = verdict_row(7_000, "pass", None)
    rows.append(zero | {"p_pass": 0.0})
    proposal = propose(write_run(tmp_path, rows), Terms(GOAL))
    assert _threshold(proposal) == 0.0


def test_corrected_labels_are_told_with_what_they_leave(tmp_path: Path) -> None:
    """Wrong labels of groups that the model does not pass are never looked at."""
    rows = [*failed_rows(100, [9.0]), *good_rows(50)]
    run_dir = write_run(tmp_path, rows)
    before = describe(propose(run_dir, Terms(GOAL)))
    assert not any("put right" in line.en for line in before)
    decide(run_dir, rows[0], PASS, label_wrong=True)
    lines = describe(propose(run_dir, Terms(GOAL)))
    assert any("1 labels were put right" in line.en and "1 / (1 - W)" in line.en for line in lines)
    assert any("已更正 1 条人工结论" in line.zh for line in lines)


def test_too_few_failed_groups(tmp_path: Path) -> None:
    rows = [*failed_rows(58, []), *good_rows(9), *failed_rows(59, [], mission=OTHER)]
    proposal = propose(write_run(tmp_path, rows), Terms(GOAL))
    assert (_threshold(proposal), _threshold(proposal, OTHER)) == (None, 0.0)
    assert proposal.promised == 1
    assert (
        "58 failed groups, 59 are needed: label 1 more that people fail" in _sentences(proposal)[0]
    )
    assert propose(tmp_path, Terms(Goal(0.05, candidates=2))).promised == 0
    assert propose(tmp_path, Terms(GOAL, pooled=True)).promised == 2


@pytest.mark.parametrize("with_odds", [True, False])
def test_what_a_threshold_of_the_run_cut(tmp_path: Path, with_odds: bool) -> None:
    cut = [
        verdict_row(n, "fail", n / 100 if with_odds else None, None, why=["unsure"])
        for n in range(60)
    ]
    rows = [*cut, *failed_rows(60, [], first=100), *(verdict_row(n, "pass", 2.5) for n in range(9))]
    proposal = propose(write_run(tmp_path, rows), Terms(GOAL))
    assert _threshold(proposal) == 2.5
    assert any("60 groups are undecided by a threshold" in line for line in _sentences(proposal))


def test_rules_hold_back_at_every_threshold(tmp_path: Path) -> None:
    held = [
        verdict_row(n, "fail", 30.0, None, why=[code, "unsure"])
        for n, code in enumerate(["evidence_missing", "evidence_against", "contradiction"] * 10)
    ]
    rows = [*held, *failed_rows(30, [3.0], first=100), *good_rows(10)]
    assert _threshold(propose(write_run(tmp_path, rows), Terms(GOAL))) == math.nextafter(3, 9)


def test_what_could_not_be_judged_is_left_out_and_told(tmp_path: Path) -> None:
    rows = [*failed_rows(100, [1.0, 2.0, 3.0, 4.0]), *good_rows(50)]
    assert _threshold(propose(write_run(tmp_path / "a", rows), Terms(GOAL))) == math.nextafter(3, 9)
    rows += [
        verdict_row(900 + n, "fail", 9.0, None, why=[code])
        for n, code in enumerate(["left_out", "stage_a_incomplete", "format", "timeout"] * 25)
    ]
    rows += [verdict_row(2000, "pass", None)]
    proposal = propose(write_run(tmp_path / "b", rows), Terms(GOAL))
    assert _threshold(proposal) == math.nextafter(3, 9)
    line = "; ".join(line for line in _sentences(proposal) if line.startswith(MISSION))
    assert "100 failed groups could not be judged" in line
    assert "of the 100 that could 1.0% pass, of all 200 0.5%" in line
    assert "1 通过 without a p_pass" in line


def test_scores_that_are_no_numbers(tmp_path: Path) -> None:
    rows = [*failed_rows(60, []), *good_rows(9)]
    for row, p_pass in zip(rows, [math.nan, 1.5, -1, True, math.inf], strict=False):
        row.update(p_pass=p_pass, verdict=PASS)
        row["meta"] = {"prompt_hash": "p1", "checkpoint": "c1", "answers": {}}
    proposal = propose(write_run(tmp_path, rows), Terms(GOAL))
    (finding,) = proposal.findings.values()
    assert (finding.failed, finding.sample.unreadable, finding.sample.scoreless) == (55, 5, 5)
    assert finding.threshold is None


def test_a_p_pass_of_one_without_log_odds(tmp_path: Path) -> None:
    rows = [*failed_rows(100, []), *good_rows(9)]
    meta: Json = {"prompt_hash": "p1", "checkpoint": "c1", "answers": {}}
    meta["evidence"] = {"rules": "e1"}
    for row in rows[:2]:
        row.update(p_pass=1.0, verdict=PASS, meta=meta)
    lines = _sentences(propose(write_run(tmp_path, rows), Terms(GOAL)))
    assert "2 of 100 failed groups have a p_pass of exactly 1" in lines[0]


def test_a_pass_that_the_model_gave_no_chance(tmp_path: Path) -> None:
    """A 通过 with a p_pass of 0, as a vote may win: no finite threshold lets it pass."""
    rows = [*failed_rows(60, []), verdict_row(70, "pass", -800.0), verdict_row(71, "pass", None)]
    rows[-1]["p_pass"] = 0.0
    proposal = propose(write_run(tmp_path, rows), Terms(GOAL))
    (finding,) = proposal.findings.values()
    assert (finding.threshold, finding.left_to_people.count) == (-800.0, 1)
    (row,) = promise_tables(proposal)[0].rows
    assert row[1:3] == ["-800.0000", "9.86e-305"]


def test_rows_of_two_checkpoints(tmp_path: Path) -> None:
    rows = [*failed_rows(100, []), *good_rows(9)]
    rows[-1]["meta"] = {"prompt_hash": "p1", "checkpoint": "c2", "answers": {}}
    proposal = propose(write_run(tmp_path, rows), Terms(GOAL))
    assert _threshold(proposal) is None
    assert "not made by one and the same" in _sentences(proposal)[0]
    assert "1 by checkpoint c2, prompt p1, evidence unknown" in _sentences(proposal)[0]


@pytest.mark.parametrize("changes", [{"checkpoint": "c2"}, {"prompt_hash": "p2"}])
def test_lines_of_two_checkpoints(tmp_path: Path, changes: dict[str, str]) -> None:
    rows = [*failed_rows(100, []), *good_rows(9)]
    photos = {str(row["group_id"]): [f"{row['group_id']}.jpg"] for row in rows}
    run = write_run(tmp_path, rows, photos)
    assert _threshold(propose(run, Terms(GOAL))) is not None
    (path,) = (run / "stage_a").iterdir()
    *lines, last = map(json.loads, path.read_text("utf-8").splitlines())
    last["meta"] |= changes
    write_lines(path, [*lines, last])
    for terms in (Terms(GOAL), Terms(GOAL, pooled=True)):
        proposal = propose(run, terms)
        assert _threshold(proposal) is None
        told = next(each for each in _sentences(proposal) if each.startswith(MISSION))
        assert "its lines were not made by one and the same: 108 by checkpoint c1, " in told


def test_a_group_that_stands_twice_counts_once(tmp_path: Path) -> None:
    rows = failed_rows(30, [])
    twice = [*rows, *rows, verdict_row(0, "fail", 5.0), *good_rows(9)]
    (finding,) = propose(write_run(tmp_path, twice), Terms(Goal(0.1))).findings.values()
    assert (finding.failed, finding.threshold) == (30, math.nextafter(5.0, 9))


def test_a_mission_in_two_spellings_is_one(tmp_path: Path) -> None:
    full, half = "BBU安装方式检查（正装）", "BBU安装方式检查(正装)"
    rows = failed_rows(40, [], mission=full) + failed_rows(30, [], first=50, mission=half)
    findings = propose(write_run(tmp_path, rows), Terms(GOAL)).findings
    assert [finding.failed for finding in findings.values()] == [70]


def test_a_run_that_has_not_ended(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path, failed_rows(60, []))
    assert propose(run_dir, Terms(GOAL)).unended == []
    rows_path = run_dir / "stage_b" / f"{MISSION}.jsonl"
    Manifest(rows_path, {"stage": "judge"}).write(RunCounts(), "interrupted")
    proposal = propose(run_dir, Terms(GOAL))
    assert proposal.unended == [MISSION]
    assert any(f"judging of {MISSION} has not ended" in line for line in _sentences(proposal))


def test_decisions_of_the_groups_that_needed_a_look(tmp_path: Path) -> None:
    """People decide what is unsure: above the surest group that they left open a promise stands."""
    rows = [verdict_row(n, None, n / 10) for n in range(100)]
    rows += [verdict_row(n, None, -2.0, FAIL) for n in range(100, 200)]
    run_dir = write_run(tmp_path, rows)
    with pytest.raises(RunError, match="nobody has decided anything"):
        propose(run_dir, Terms(GOAL, "decisions"))
    for row in [*rows[:50], *rows[100:]]:
        decide(run_dir, row, FAIL)
    proposal = propose(run_dir, Terms(GOAL, "decisions"))
    assert _threshold(proposal) is None
    assert (
        "50 groups that pass have no decision, the surest ones among them"
        in _sentences(proposal)[0]
    )
    for row in rows[52:100]:
        decide(run_dir, row, PASS if row is rows[99] else "待定" if row is rows[98] else FAIL)
    proposal = propose(run_dir, Terms(Goal(0.4), "decisions"))
    assert _threshold(proposal) == math.nextafter(5.1, 9)  # what may pass by the test is lower
    assert propose(run_dir, Terms(Goal(0.5), "decisions")).findings[
        MISSION
    ].threshold == math.nextafter(5.1, 9)
    decide(run_dir, rows[50], PASS)
    decide(run_dir, rows[51], PASS)
    proposal = propose(run_dir, Terms(GOAL, "decisions"))
    (finding,) = proposal.findings.values()
    # 待定 on a group that the model passes counts as failed: 9.8 is among the slips.
    assert (finding.failed, finding.allowed) == (197, 4)
    assert finding.threshold == math.nextafter(9.4, 99)


def test_groups_of_one_site(tmp_path: Path) -> None:
    rows = [
        row
        for site in range(60)
        for row in failed_rows(5, [site / 10] * 5, first=10 * site, site=f"S{site}")
    ]
    run_dir = write_run(tmp_path, [*rows, *good_rows(100, site="S1")])
    (alone,) = propose(run_dir, Terms(GOAL)).findings.values()
    assert (alone.failed, alone.allowed) == (300, 8)
    assert alone.threshold == math.nextafter(5.8, 9)
    assert any(
        "in common: site (60 values)" in line for line in _sentences(propose(run_dir, Terms(GOAL)))
    )
    proposal = propose(run_dir, Terms(GOAL, cluster="site"))
    (finding,) = proposal.findings.values()
    assert (finding.failed, finding.allowed) == (60, 0)
    assert finding.threshold == math.nextafter(5.9, 9)
    assert any("share site count once" in line for line in _sentences(proposal))
    with pytest.raises(OptionError, match=r"300 of 300 failed groups have no such field.*: site"):
        propose(run_dir, Terms(GOAL, cluster="sites"))
    (none,) = propose(run_dir, Terms(GOAL, cluster="none")).findings.values()
    assert none.threshold == alone.threshold


def _photo_run(folder: Path) -> tuple[Path, dict[str, list[str]]]:
    """60 failed groups: 0 and 1 have one photo, 1 and 2 copies of one, 3 and 4 equal sizes."""
    photos = {}
    for number in range(60):
        names = [folder / "photos" / str(number) / f"{n}.jpg" for n in range(2)]
        names[0].parent.mkdir(parents=True)
        for n, name in enumerate(names):
            name.write_bytes(b"%07d" % (10 * number + n) * (100 + number))
        photos[f"QC-{number:07d}"] = [str(name) for name in names]
    photos["QC-0000001"][0] = photos["QC-0000000"][0]
    (folder / "photos/2/0.jpg").write_bytes((folder / "photos/1/1.jpg").read_bytes())
    same_size = bytearray((folder / "photos/3/0.jpg").read_bytes())
    same_size[0] ^= 1
    (folder / "photos/4/0.jpg").write_bytes(same_size)
    return write_run(folder / "run", failed_rows(60, []), photos), photos


def test_groups_that_share_photos(tmp_path: Path) -> None:
    run_dir, photos = _photo_run(tmp_path)
    proposal = propose(run_dir, Terms(GOAL))
    (finding,) = proposal.findings.values()
    assert finding.failed == 58
    assert finding.threshold is None
    assert proposal.clusters.largest == 3
    assert proposal.clusters.notes == ()
    # `judge` wrote the verdicts elsewhere: its manifest names the lines.
    judged = tmp_path / "judged"
    (run_dir / "stage_b").rename(judged)
    stage_a = run_dir / "stage_a" / f"{MISSION}.jsonl"
    manifest = Manifest(judged / stage_a.name, {"stage": "judge", "stage_a": str(stage_a)})
    manifest.write(RunCounts(), "ended")
    assert propose(judged, Terms(GOAL)).clusters.largest == 3
    judged.rename(run_dir / "stage_b")
    (tmp_path / "photos/2/0.jpg").unlink()
    proposal = propose(run_dir, Terms(GOAL))
    assert proposal.findings[MISSION].failed == 59
    assert [note.en for note in proposal.clusters.notes] == [
        "1 photos cannot be read here: they were compared by path alone",
    ]
    # Mere names, as other tools write them, tie nothing together.
    names = {key: [Path(image).name for image in images] for key, images in photos.items()}
    proposal = propose(write_run(tmp_path / "names", failed_rows(60, []), names), Terms(GOAL))
    assert proposal.findings[MISSION].failed == 60
    assert "of 60 failed groups no photos are on record" in proposal.clusters.notes[0].en


def test_groups_that_were_trained_on(tmp_path: Path) -> None:
    run_dir, _ = _photo_run(tmp_path)
    training = tmp_path / "elsewhere" / "train.jsonl"
    copy = training.parent / "a.jpg"
    copy.parent.mkdir()
    copy.write_bytes((tmp_path / "photos/40/1.jpg").read_bytes())
    rows: list[Json] = [{"images": ["a.jpg", "gone.jpg"]}, {"images": []}]
    rows.append({"messages": [{"content": [{"image": str(tmp_path / "photos/41/0.jpg")}]}]})
    write_lines(training, rows)
    terms = Terms(GOAL, cluster="none", not_these=(training,))
    proposal = propose(run_dir, terms)
    (finding,) = proposal.findings.values()
    assert (finding.failed, finding.sample.in_training) == (58, 2)
    assert "2 groups have a photo of a training row and are left out" in _sentences(proposal)[1]
    assert [note.en for note in proposal.training.notes] == [
        "1 training photos cannot be read here",
        "1 training rows name no photo",
    ]
    (tmp_path / "photos/50/1.jpg").rename(tmp_path / "photos/50/gone.jpg")
    proposal = propose(run_dir, terms)
    assert "photos of 1 groups cannot be read here" in proposal.training.notes[1].en
    with pytest.raises(RunError, match="no training row names a photo"):
        propose(run_dir, Terms(GOAL, not_these=(write_lines(tmp_path / "none.jsonl", [{}]),)))
    bare = write_run(tmp_path / "bare", failed_rows(60, []))
    with pytest.raises(RunError, match="no Stage-A rows"):
        propose(bare, terms)


def test_groups_of_a_list_count_as_trained_on(tmp_path: Path) -> None:
    run_dir, _ = _photo_run(tmp_path)
    text = (run_dir / "stage_a" / f"{MISSION}.jsonl").read_text("utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    first, second, third = (row["group_id"] for row in rows[:3])
    names = tmp_path / "trained.txt"
    names.write_text(f"{first}::fail\n{second}::pass\nQC-none\n", encoding="utf-8")
    keys = write_lines(tmp_path / "keys.jsonl", [{"key": f"{third}::fail", "mission": MISSION}])
    proposal = propose(run_dir, Terms(GOAL, cluster="none", not_these=(names, keys)))
    (finding,) = proposal.findings.values()
    assert (finding.failed, finding.sample.in_training) == (58, 2)
    (note,) = proposal.training.notes
    assert note.en == f"2 names of the list are of no group of this run: {second}::pass, QC-none"
