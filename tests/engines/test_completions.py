"""Completions are read whole, or not at all."""

from __future__ import annotations

import pytest

from shenhe.engines.server.completions import Body, read_completion
from shenhe.engines.server.faults import BadAnswerError


def _body(*texts: str) -> Body:
    return {
        "choices": [
            {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            for text in texts
        ]
    }


def test_several_choices_are_one_answer_only_if_they_are_alike() -> None:
    assert read_completion(_body("通过", "通过")).text == "通过"
    with pytest.raises(BadAnswerError, match="several choices"):
        read_completion(_body("通过", "不通过"))
