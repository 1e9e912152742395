"""Text of a model cannot control the terminal."""

from __future__ import annotations

import io
from collections.abc import Generator

import pytest

from shenhe.chat import Conversation, Terminal
from shenhe.config import load_prompts
from shenhe.errors import EngineError, ItemError
from shenhe.messages import Answer, Request
from tests.scripted import ScriptedEngine

ANSWER = "两台\x1b]0;title\x07设备\n\x9b2J\u202e过通"


class Broken(ScriptedEngine):
    """Fails in the middle of an answer."""

    def stream(self, request: Request) -> Generator[str, None, Answer]:
        yield "通过，"
        raise ItemError("bad_answer", "the server broke off")


def test_an_error_has_its_own_line_and_the_conversation_goes_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("说\n/image nosuch://a.jpg\n/system\n/exit\n"))
    talk = Conversation(Broken(lambda _: ANSWER))
    assert Terminal(talk, load_prompts().caption, stream=True).run() == 1
    first, second, third, fourth = capsys.readouterr().out.splitlines()
    assert (first, second) == ("通过，", "[the server broke off]")
    assert third.startswith("[nosuch://a.jpg: nosuch:// is unknown")
    assert fourth == "[system: none]"


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_cannot_control_the_terminal(
    stream: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("说\n/image /nowhere\x1b[2J.jpg\n/exit\n"))
    talk = Conversation(ScriptedEngine(lambda _: ANSWER))
    assert Terminal(talk, load_prompts().caption, stream=stream).run() == 1
    out = capsys.readouterr().out
    assert "两台\\x1b]0;title\\x07设备\n\\x9b2J\\u202e过通\n" in out
    assert "/nowhere\\x1b[2J.jpg: no such photo" in out
    assert talk.last_answer == ANSWER  # only the output is escaped


class TornEngine(ScriptedEngine):
    """Loses its server in the middle of an answer."""

    def stream(self, request: Request) -> Generator[str, None, Answer]:
        yield "两台"
        raise EngineError("the server broke off")


def test_an_error_is_not_appended_to_half_an_answer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    talk = Conversation(TornEngine(lambda _: ""))
    with pytest.raises(EngineError):
        Terminal(talk, load_prompts().caption, stream=True).one_shot("说")
    assert capsys.readouterr().out == "两台\n"


def test_an_input_without_a_question_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for typed, told in (("", True), ("\n", False), ("说\n", False)):
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        talk = Conversation(ScriptedEngine(lambda _: "好"))
        assert Terminal(talk, load_prompts().caption, stream=True).run() == 0
        assert ("no question came: give one by --prompt" in capsys.readouterr().err) is told
