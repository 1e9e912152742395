"""The recipe's export of the bundled checkpoint, in its environment, answers as the bundled one."""

from __future__ import annotations

from pathlib import Path

import pytest

from recipes.openvino_export.export import export
from shenhe.engines.base import EngineSpec
from shenhe.engines.openvino.engine import OpenvinoEngine
from shenhe.engines.options import OpenvinoOptions
from tests.engines.contract import line_requests, texts_by_key
from tests.peers.environments import ROOT

pytestmark = pytest.mark.peers


def test_an_export_answers_as_the_bundled_one(tmp_path: Path) -> None:
    environment = ROOT / ".peers" / "openvino_export"
    output = tmp_path / "exported"
    export("demo", ["demo"], output, "fp16", merge_dtype="float32", environment=environment)
    texts = [
        texts_by_key(OpenvinoEngine(EngineSpec(model=model, engine=OpenvinoOptions())), requests)
        for model in ("demo", str(output))
        for requests in [line_requests()]
    ]
    assert texts[0] == texts[1]
    assert not list(output.parent.glob("tmp*"))
