"""History, waiting photos and <image> tags, with a scripted engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shenhe.chat import Conversation
from shenhe.errors import EngineError, FormatError
from shenhe.messages import ImagePart, Request
from tests.conftest import DEMO
from tests.scripted import ScriptedEngine

PHOTO = sorted((DEMO / "photos").rglob("img-003.jpeg"))[0]
CAPTION = '{"图片_1": {"object_1": {"bbox_2d": [1, 2, 300, 400], "desc": "BBU设备"}}}'


def _run(pieces: Iterator[str]) -> str:
    return "".join(pieces)


def test_history_grows_and_the_system_prompt_comes_first() -> None:
    engine = ScriptedEngine(lambda request: f"answer {len(request.messages)}")
    talk = Conversation(engine, "规则")
    requests: list[Request] = []
    engine.script = lambda request: requests.append(request) or "好"  # type: ignore[func-returns-value]
    assert _run(talk.ask("一")) == "好"
    assert _run(talk.ask("二")) == "好"
    roles = [message.role for message in requests[1].messages]
    assert roles == ["system", "user", "assistant", "user"]
    talk.clear()
    _run(talk.ask("三"))
    assert [message.role for message in requests[2].messages] == ["system", "user"]


def test_photos_are_put_at_their_tags_once() -> None:
    requests: list[Request] = []
    engine = ScriptedEngine(lambda request: requests.append(request) or "好")  # type: ignore[func-returns-value]
    talk = Conversation(engine)
    talk.waiting = [Path("a.jpg"), Path("b.jpg")]
    _run(talk.ask("比较<image>和<image>"))
    assert requests[0].messages[0].parts == (
        *("比较", ImagePart(Path("a.jpg")), "和", ImagePart(Path("b.jpg"))),
    )
    assert talk.waiting == []
    talk.waiting = [Path("c.jpg")]
    _run(talk.ask("这张?"))
    assert requests[1].messages[-1].parts == (ImagePart(Path("c.jpg")), "这张?")


def test_a_failed_or_stopped_answer_is_not_in_the_history() -> None:
    def fail(request: Request) -> str:
        raise EngineError("gone")

    talk = Conversation(ScriptedEngine(fail))
    with pytest.raises(EngineError):
        _run(talk.ask("一"))
    talk.engine = ScriptedEngine(lambda _: "很长的回答")
    pieces = talk.ask("二")
    next(pieces)
    pieces.close()
    assert talk.history == []
    assert talk.last_answer is None


def test_draw_needs_a_caption_of_a_photo(tmp_path: Path) -> None:
    talk = Conversation(ScriptedEngine(lambda _: CAPTION))
    with pytest.raises(FormatError, match="no answer about a photo"):
        talk.draw(tmp_path)
    talk.waiting = [PHOTO]
    _run(talk.ask("标注"))
    recovery, (path,) = talk.draw(tmp_path / "new")
    assert recovery.repairs == ()
    assert path.is_file()
    talk.engine = ScriptedEngine(lambda _: "看不清")
    _run(talk.ask("再说一次"))
    with pytest.raises(FormatError):
        talk.draw(tmp_path)
