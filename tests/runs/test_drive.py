"""Jobs through an engine."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from shenhe.errors import EngineError, FormatError
from shenhe.messages import Answer, Message, Request, RequestFailed
from shenhe.runs.drive import drive
from shenhe.runs.work import Job, Rejection, Success
from tests.scripted import ScriptedEngine


def _job(name: str, count: int) -> Job[str]:
    message = (Message("user", (name,)),)
    return Job(name, tuple(Request(f"{name}/{i}", message, 9) for i in range(count)))


def _read(answer: Answer) -> str:
    if answer.text.startswith("bad"):
        raise FormatError("malformed", answer.text)
    return answer.text


def test_jobs_finish_whole_with_outcomes_in_order() -> None:
    engine = ScriptedEngine(lambda request: f"{request.key}!", batch_size=5)
    finished = list(drive(engine, [_job("a", 3), _job("b", 4), _job("c", 1)], _read))
    assert sorted(job.item for job in finished) == ["a", "b", "c"]
    for job in finished:
        values = [outcome.value for outcome in job.outcomes if isinstance(outcome, Success)]
        assert values == [f"{job.item}/{i}!" for i in range(len(values))]


def test_jobs_in_their_own_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["shenhe.runs.drive"], "MAX_REORDERED", 3)
    names = [f"job {n}" for n in range(40)]
    held_up = {"job 0/0", "job 17/1"}
    engine = ScriptedEngine(
        lambda r: "bad" if r.key in held_up and r.attempt == 0 else "good", batch_size=5
    )
    jobs = [_job(name, 1 + n % 3) for n, name in enumerate(names)]
    assert [done.item for done in drive(engine, jobs, _read, ordered=True)] == names
    assert [done.item for done in drive(engine, jobs, _read)] != names
    # One that is held up lets no more than so many go on behind it.
    before = [r.key for r in engine.asked].index("job 0/0", 1)
    assert before < 3 * (3 + 5) + 5


def test_a_bad_answer_is_asked_again_and_no_more_than_allowed() -> None:
    engine = ScriptedEngine(lambda r: "bad" if r.key == "a/0" or r.attempt == 0 else "good")
    (finished,) = drive(engine, [_job("a", 2)], _read, max_attempts=3)
    first, second = finished.outcomes
    assert isinstance(first, Rejection)
    assert first.code == "malformed"
    assert first.attempts == 3
    assert first.answer is not None
    assert first.answer.text == "bad"
    assert isinstance(second, Success)
    assert second.attempts == 2
    assert sorted(r.attempt for r in engine.asked if r.key == "a/0") == [0, 1, 2]


@pytest.mark.parametrize("error", [RecursionError("deep"), ValueError("4300 digits"), KeyError(1)])
def test_an_answer_that_upsets_a_library_costs_that_answer_alone(error: Exception) -> None:
    def read(answer: Answer) -> str:
        if answer.key == "a/0":
            raise error
        return answer.text

    engine = ScriptedEngine(lambda request: "good")
    upset, fine = sorted(drive(engine, [_job("a", 1), _job("b", 1)], read), key=lambda j: j.item)
    (outcome,) = upset.outcomes
    assert isinstance(outcome, Rejection)
    assert outcome.code == "unreadable_answer"
    assert type(error).__name__ in outcome.message
    assert isinstance(fine.outcomes[0], Success)


def test_what_the_engine_could_not_do_is_not_asked_again() -> None:
    engine = ScriptedEngine(lambda r: RequestFailed(r.key, "missing", "no such file", r.attempt))
    (finished,) = drive(engine, [_job("a", 1)], _read)
    assert finished.outcomes == (Rejection("missing", "no such file", 1),)
    assert len(engine.asked) == 1


def test_only_jobs_under_way_are_held() -> None:
    started = 0

    def jobs() -> Iterator[Job[str]]:
        nonlocal started
        for number in range(1000):
            started += 1
            yield _job(str(number), 2)

    engine = ScriptedEngine(lambda request: "x", batch_size=4)
    for done, _ in enumerate(drive(engine, jobs(), _read)):
        assert started <= done + 4


def test_an_engine_that_forgets_is_caught() -> None:
    class Forgetful(ScriptedEngine):
        def answer(self, requests):  # type: ignore[no-untyped-def]
            return (answer for answer in super().answer(requests) if answer.key != "a/1")

    with pytest.raises(EngineError, match="1 requests unanswered"):
        list(drive(Forgetful(lambda request: "x"), [_job("a", 3)], _read))


def test_an_engine_that_invents_is_caught() -> None:
    class Inventive(ScriptedEngine):
        def answer(self, requests):  # type: ignore[no-untyped-def]
            for answer in super().answer(requests):
                yield answer
                yield answer

    with pytest.raises(EngineError, match="was not asked"):
        list(drive(Inventive(lambda request: "x"), [_job("a", 1)], _read))
