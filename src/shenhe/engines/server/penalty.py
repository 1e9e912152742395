"""The repetition penalty at a server: who knows it, by which names, and what it does there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from shenhe.engines.server.completions import Body
from shenhe.errors import OptionError


class Penalty(NamedTuple):
    """The fields of a request that ask for a penalty.

    `changes_logprobs` where the server reports log-probabilities behind the penalty: these are not
    the model's own.
    """

    fields: Body
    changes_logprobs: bool = False


def _repetition_penalty(penalty: float) -> Body:
    return {"repetition_penalty": penalty}


def _repeat_penalty(penalty: float) -> Body:
    """Write it as llama.cpp takes it, which else looks at the last 64 tokens alone."""
    return {"repeat_penalty": penalty, "repeat_last_n": LAST_TOKENS}


LAST_TOKENS: Final = 65_536
"""Longer than a prompt here; newer llama.cpp refuses -1, which meant all. Units: tokens."""
NO_PENALTY: Final = Penalty({})
RAW: Final = frozenset({"vllm", "llamacpp", "shenhe"})
"""Servers whose log-probabilities are those of the model without the penalty."""
FIELDS: Final[dict[str, Callable[[float], Body]]] = {
    "vllm": _repetition_penalty,
    "sglang": _repetition_penalty,
    "lmdeploy": _repetition_penalty,
    "swift": _repetition_penalty,
    "shenhe": _repetition_penalty,
    "llamacpp": _repeat_penalty,
}
"""Servers by the name under which they list their models (`owned_by`)."""


def penalty_for(owner: object, penalty: float) -> Penalty:
    """Choose the fields for a server by the owner that it names in its list of models.

    Raises: OptionError for a server that is not known to have a penalty: many ignore the field.

    >>> penalty_for("vllm", 1.05).fields
    {'repetition_penalty': 1.05}
    """
    if penalty == 1:
        return NO_PENALTY
    name = owner.casefold() if isinstance(owner, str) else ""
    if name not in FIELDS:
        problem = (
            "this server is not known to have it; vLLM, SGLang, LMDeploy, llama.cpp and"
            " `swift deploy` do"
        )
        raise OptionError("repetition_penalty", penalty, problem)
    return Penalty(FIELDS[name](penalty), changes_logprobs=name not in RAW)
