"""The OpenVINO engine: an exported checkpoint in this process, without torch."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from functools import cached_property
from typing import Final

import psutil

from shenhe.checkpoints.inspect import fingerprint
from shenhe.engines.base import EngineSpec, Reuse, ServingEngine
from shenhe.engines.cancelling import Cancellations
from shenhe.engines.local.constraint import Constraint, Grammars, wanted_grammar
from shenhe.engines.local.deduplication import Deduplicator
from shenhe.engines.local.detokenizer import Detokenizer
from shenhe.engines.openvino.exported import read_exported, refuse_adapters
from shenhe.engines.openvino.language_model import LanguageModel
from shenhe.engines.openvino.preparing import Preparer
from shenhe.engines.openvino.runtime import Runtime
from shenhe.engines.openvino.scheduler import Scheduler
from shenhe.engines.openvino.tokenizer import ExportedTokenizer
from shenhe.engines.openvino.tower import Tower
from shenhe.engines.options import OpenvinoOptions
from shenhe.engines.prefetching import PREFETCH, prefetch
from shenhe.engines.prompts import chosen_budget
from shenhe.errors import EngineError
from shenhe.messages import Piece, Request, Served

SHARE: Final = 8
"""By default this part of the free memory is for what may be needed again, and this part of it for
decoded photos."""


class OpenvinoEngine(ServingEngine):
    """An Engine over one exported checkpoint.

    >>> engine = OpenvinoEngine(EngineSpec(model="demo", engine=OpenvinoOptions()))
    >>> len(engine.fingerprint)
    16
    """

    def __init__(self, spec: EngineSpec[OpenvinoOptions]) -> None:
        """Load the export.

        Raises: OptionError for adapters; CheckpointError; EngineError.
        """
        refuse_adapters(spec.adapters)
        self.spec = spec
        exported = read_exported(spec.model)
        tokenizer = ExportedTokenizer(exported.files.folder)
        runtime = Runtime(spec.engine.dtype, exported.weights, exported.head)
        kept_bytes = _kept_bytes(spec.engine.reuse_memory)
        photo_bytes = kept_bytes // SHARE
        kept_bytes = (kept_bytes - photo_bytes) // 2
        budget = chosen_budget(exported.budget, spec.max_pixels)
        self._preparer = Preparer(exported, tokenizer, budget, photo_bytes)
        self._tower = Tower(exported, runtime, kept_bytes)
        self._model = LanguageModel(exported, runtime, kept_bytes)
        ends = (*exported.end_tokens, tokenizer.eos_token_id)
        self._detokenizer = Detokenizer(tokenizer, [end for end in ends if end is not None])
        self._tokenizer, self._cancelled = tokenizer, Cancellations()
        self.fingerprint = fingerprint(exported.files)

    def serve(self, requests: Iterable[Request | None]) -> Generator[Served, None, None]:
        """Answer requests by continuous batching, in the order in which they end.

        Raises: EngineError if the model fails.
        """
        shared = Deduplicator(self.spec, max_waiting=PREFETCH)
        scheduler = Scheduler(
            self._model,
            self._tower,
            self.spec,
            self._detokenizer,
            constrain=self._constraint,
            is_cancelled=lambda key: key in self._cancelled and not shared.is_shared(key),
        )
        prepared = prefetch(self._preparer.prepare, iter(requests), PREFETCH)
        results = scheduler.run(shared.filter(prepared))
        try:
            for result in results:
                if isinstance(result, Piece):
                    yield result
                else:
                    self._cancelled.forget(result.key)
                    yield from shared.share(result)
        except EngineError:
            self.forget()  # it may be where scores that are no numbers come from
            raise
        finally:
            results.close()
            prepared.close()

    def cancel(self, key: str) -> None:
        """Stop a request; see ServingEngine."""
        self._cancelled.note(key)

    def forget(self) -> None:
        """Drop what was computed of photos and prompts for requests that need it again."""
        self._preparer.photos.clear()
        self._tower.cache.clear()
        self._model.blocks.clear()

    @property
    def reuse(self) -> Reuse:
        """What requests needed so far, and what of it was computed for earlier ones."""
        photos, model = self._tower.cache, self._model
        return Reuse(photos.photos, photos.reused_photos, model.prompt_tokens, model.reused_tokens)

    @property
    def forward_passes(self) -> int:
        """Number of forward passes so far."""
        return self._model.forward_passes

    @cached_property
    def _grammars(self) -> Grammars:
        ends = sorted(self._detokenizer.end_tokens)
        return Grammars(self._tokenizer, ends, self._model.vocabulary_size)

    def _constraint(self, request: Request) -> Constraint | None:
        """Start the constraint of an answer; see LocalEngine."""
        grammar = wanted_grammar(request, constrain=self.spec.constrain)
        return None if grammar is None else self._grammars.constraint(grammar)


def _kept_bytes(megabytes: int | None) -> int:
    if megabytes is None:
        return int(psutil.virtual_memory().available) // SHARE
    return megabytes * 1_000_000
