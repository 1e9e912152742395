"""What a model writes is shown, never obeyed."""

from __future__ import annotations

import io
from collections.abc import Generator

import pytest

from shenhe.chat import Conversation, Terminal
from shenhe.config import load_prompts
from shenhe.errors import EngineError
from shenhe.records import Answer, Request
from tests.scripted import ScriptedEngine

ANSWER = "两台\x1b]0;title\x07设备\n\x9b2J\u202e过通"


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_steers_no_terminal(
    stream: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("说\n/image /nowhere\x1b[2J.jpg\n/exit\n"))
    talk = Conversation(ScriptedEngine(lambda _: ANSWER))
    assert Terminal(talk, load_prompts().caption, stream=stream).run() == 1
    out = capsys.readouterr().out
    assert "两台\\x1b]0;title\\x07设备\n\\x9b2J\\u202e过通\n" in out
    assert "/nowhere\\x1b[2J.jpg: no such photo" in out
    assert talk.last_answer == ANSWER  # only what is shown is changed


class TornEngine(ScriptedEngine):
    """A server that is lost in the middle of an answer."""

    def stream(self, request: Request) -> Generator[str, None, Answer]:
        yield "两台"
        raise EngineError("the server broke off")


def test_what_went_wrong_does_not_stand_behind_half_an_answer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    talk = Conversation(TornEngine(lambda _: ""))
    with pytest.raises(EngineError):
        Terminal(talk, load_prompts().caption, stream=True).one_shot("说")
    assert capsys.readouterr().out == "两台\n"
