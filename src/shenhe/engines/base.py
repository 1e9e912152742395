"""What every engine is, and how one is described before it exists."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from shenhe.errors import UsageError
from shenhe.messages import Answer, Request, RequestFailed
from shenhe.secrecy import redact_url

RETRY_TEMPERATURES = (0.0, 0.3, 0.6, 0.9)
"""At least this warm is attempt n: greedy decoding would only write the same text again."""


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """Everything that decides what an engine answers; `batch_size` decides only how fast.

    `batch_size` None is as many as memory allows, or as a server takes. `constrain` holds answers
    to their formats, `speculate` guesses phrases from earlier answers, which changes no answer,
    only its time. What follows `base_url` is for servers: seconds that one request may take, and
    that a server may be gone; how photos travel (png, bmp); whether it opens them by their paths;
    whether it is known to apply adapters to the vision tower. `vllm_options` are NAME=VALUE, for
    vLLM itself. Ray joins a cluster, or starts one here, and places so many workers with an engine
    each; None: one a GPU, or one a node.
    """

    model: str
    adapters: tuple[str, ...] = ()
    engine: str = "local"
    dtype: str = "auto"
    attn_impl: str = "sdpa"
    device: str = "auto"
    quantize: str | None = None
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    max_pixels: int | None = None
    batch_size: int | None = None
    constrain: bool = True
    speculate: bool = False
    base_url: str | None = field(default=None, repr=False)  # it may hold a password
    request_timeout: float = 600.0
    server_patience: float = 1800.0
    photo_packing: str | None = None
    local_media: bool = False
    tower_lora: bool = False
    vllm_options: tuple[str, ...] = ()
    ray_address: str | None = None
    ray_engine: str = "local"
    ray_workers: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no engine can honour.

        Raises: UsageError that names the option.
        """
        if self.quantize not in (None, "int8"):
            raise UsageError(f"--quantize {self.quantize}: use int8")
        if not 0 <= self.temperature < math.inf:
            raise UsageError(f"--temperature {self.temperature}: must be 0 or more")
        if not 0 < self.top_p <= 1:
            raise UsageError(f"--top-p {self.top_p}: must be above 0 and at most 1")
        if self.batch_size is not None and self.batch_size < 1:
            raise UsageError(f"--batch-size {self.batch_size}: must be 1 or more")
        if self.base_url is not None and not self.base_url.startswith(("http://", "https://")):
            address = redact_url(self.base_url)
            raise UsageError(f"--base-url {address}: must begin with http:// or https://")
        if self.engine == "local" and self.base_url is not None:
            raise UsageError("--base-url: goes with --engine server")
        if self.photo_packing not in (None, "png", "bmp"):
            raise UsageError(f"--photo-packing {self.photo_packing}: use png or bmp")
        for option, seconds in (
            ("request-timeout", self.request_timeout),
            ("server-patience", self.server_patience),
        ):
            if not 0 < seconds < math.inf:  # NaN is neither
                raise UsageError(f"--{option} {seconds}: must be above 0 seconds")
        if self.max_pixels is not None and self.max_pixels < 32 * 32:
            raise UsageError(f"--max-pixels {self.max_pixels}: must be at least 1024 (32 x 32)")

    def temperature_of(self, request: Request) -> float:
        """Give the temperature that a request is answered with."""
        retry = RETRY_TEMPERATURES[min(request.attempt, len(RETRY_TEMPERATURES) - 1)]
        return max(self.temperature, request.temperature, retry)


class Engine(Protocol):
    """One synchronous surface; whatever concurrency there is stays inside."""

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the checkpoint that answers."""

    def answer(self, requests: Iterable[Request]) -> Iterator[Answer | RequestFailed]:
        """Answer requests, in any order, matched by key.

        Raises: EngineError when the engine itself cannot go on.
        """

    def stream(self, request: Request) -> Generator[str, None, Answer]:
        """Answer one request piece by piece; the pieces join to the text of the answer returned.

        Closing the generator, or an exception in it, stops the model.
        Raises: EngineError; PhotoError for a photo that cannot be read; ItemError for an answer
        that is none.
        """
