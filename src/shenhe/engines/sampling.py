"""How the tokens of an answer are drawn: by the request alone, never by the rest of its batch."""

from __future__ import annotations

import hashlib

from shenhe.engines.base import EngineSpec
from shenhe.engines.options import EngineOptions
from shenhe.messages import Request, Sampling


def sampling_of(request: Request, spec: EngineSpec[EngineOptions]) -> Sampling:
    """Say how the tokens of an answer are drawn: as the request says, else as the engine does."""
    if request.sampling is not None:
        return request.sampling
    return Sampling(
        spec.temperature_of(request), spec.top_p, repetition_penalty=spec.repetition_penalty
    )


def seed_of(seed: int, request: Request) -> int:
    """Derive the seed of one attempt at one request. Units: 63 bits."""
    text = f"{seed}\0{request.key}\0{request.attempt}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
