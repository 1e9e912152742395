"""What a model writes is shown, never obeyed."""

from __future__ import annotations

import io

import pytest

from shenhe.chat import Conversation, Terminal
from shenhe.config import load_prompts
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
