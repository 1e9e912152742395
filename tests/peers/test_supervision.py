"""supervision's parser of Qwen3-VL and ours: the same boxes, where it can read the text at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.malformed_captions import KINDS, our_boxes, peer_boxes
from shenhe.errors import FormatError

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("peer")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "supervision==0.31.2"], check=True)
    return python


def test_the_same_boxes_or_more_and_never_a_silent_nothing(peer: Path) -> None:
    said = dict(zip(KINDS, peer_boxes(peer, list(KINDS.values())), strict=True))
    assert len(KINDS) >= 13
    for kind, text in KINDS.items():
        ours, theirs = our_boxes(text), said[kind]
        if kind == "no caption at all":
            assert isinstance(ours, FormatError)
            continue
        assert not isinstance(ours, FormatError), kind
        boxes, repairs = ours
        assert boxes, kind
        assert repairs or kind == "grouped JSON"
        if isinstance(theirs, list):
            for box in theirs:
                assert any(
                    all(abs(a - b) < 1 for a, b in zip(box, other, strict=True)) for other in boxes
                ), kind
    assert said["well-formed"] == [[100, 200, 300, 400], [500, 500, 700, 900]]
