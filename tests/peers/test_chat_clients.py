"""ms-swift's own client asks a service: parts of messages, photos beside them, streams, errors."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from shenhe.engines.local.engine import LocalEngine
from shenhe.messages import Answer, ImagePart, Message, Request
from tests.peers.environments import MS_SWIFT, ROOT, environment
from tests.service.chats import chatting

pytestmark = pytest.mark.peers
ASK = "描述这张图片"


def test_the_client_of_ms_swift_is_understood(
    tmp_path: Path, engine: LocalEngine, demo_photos: list[Path]
) -> None:
    photo = demo_photos[0]
    (answer,) = engine.answer([Request("a", (Message("user", (ImagePart(photo), ASK)),), 32)])
    assert isinstance(answer, Answer)
    script = ROOT / "tests" / "peers" / "swift_client.py"
    python = environment("ms-swift", MS_SWIFT)
    with chatting(tmp_path, engine) as served:
        run = subprocess.run(
            [python, script, str(served.port), photo, ASK],
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONPATH": ""},
            check=False,
        )
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout.splitlines()[-1])
    assert told["models"] == ["demo"]
    assert told["texts"] == [answer.text] * 2
    assert "".join(piece or "" for piece in told["pieces"]) == answer.text
    assert "presence_penalty" in told["problem"]
