"""The local engine: a checkpoint's own transformers classes in this process."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from peft import PeftModel

from shenhe.checkpoints.interfaces import Tokenizer, VisionLanguageModel
from shenhe.checkpoints.load import load_checkpoint
from shenhe.engines.base import EngineSpec, Reuse, ServingEngine
from shenhe.engines.cancelling import Cancellations
from shenhe.engines.local.constraint import Constraint, Grammars, wanted_grammar
from shenhe.engines.local.deduplication import Deduplicator
from shenhe.engines.local.detokenizer import Detokenizer
from shenhe.engines.local.kept_work import KeptWork, photo_bytes
from shenhe.engines.local.model_runner import ModelRunner
from shenhe.engines.local.ngram_drafts import NgramDrafts
from shenhe.engines.local.preprocessing import Preprocessor
from shenhe.engines.local.scheduler import Scheduler
from shenhe.engines.local.skinny_linear import is_quantized
from shenhe.engines.options import LocalOptions, attention_name
from shenhe.engines.prefetching import PREFETCH, prefetch
from shenhe.engines.prompts import chosen_budget
from shenhe.errors import EngineError
from shenhe.messages import Piece, Request, Served

FATAL = (RuntimeError, ValueError, IndexError)
"""Exceptions of transformers and torch after which the engine cannot go on."""


@dataclass(frozen=True, slots=True)
class PreparedPrompt:
    """Input of the model for one request; `grids` are (frames, rows, columns) per photo.

    Shape: pixels (patches, channels x frames x size x size), float32; empty without photos.
    """

    token_ids: list[int]
    pixels: torch.Tensor
    grids: list[list[int]]


class LocalEngine(ServingEngine):
    """An Engine over one loaded checkpoint.

    >>> engine = LocalEngine(EngineSpec("demo", ("demo",)))  # doctest: +SKIP
    >>> [answer.text for answer in engine.answer(requests)]  # doctest: +SKIP
    """

    def __init__(self, spec: EngineSpec[LocalOptions]) -> None:
        """Load the checkpoint.

        Raises: CheckpointError, AdapterError, UsageError.
        """
        self.spec = spec
        loaded = load_checkpoint(
            spec.model,
            spec.adapters,
            dtype=spec.engine.dtype,
            attn_impl=attention_name(spec.engine.attn_impl),
            device=spec.engine.device,
            quantize=spec.engine.quantize,
        )
        self._model, self._tokenizer = loaded.model, loaded.processor.tokenizer
        budget = chosen_budget(loaded.budget, spec.max_pixels)
        reuse_memory = spec.engine.reuse_memory
        self._preprocessor = Preprocessor(
            loaded.processor, self._base, budget, photo_bytes(reuse_memory)
        )
        self._kept = KeptWork(reuse_memory, self._base.device, self._preprocessor.photos)
        self._runner = ModelRunner(self._base, self._preprocessor.patches, self._kept.towers)
        configured = self._model.generation_config.eos_token_id
        self._detokenizer = Detokenizer(self._tokenizer, _end_tokens(configured, self._tokenizer))
        self._slots, self._cancelled = spec.max_batch_size, Cancellations()
        self._drafts = NgramDrafts()
        self.fingerprint = loaded.fingerprint

    def serve(self, requests: Iterable[Request | None]) -> Generator[Served, None, None]:
        """Answer requests by continuous batching, in the order in which they end.

        Without sampling, requests with equal prompts about equal pixels are answered once.
        Raises: EngineError if the model fails.
        """
        deduplicator = Deduplicator(self.spec, max_waiting=PREFETCH)
        scheduler = self._scheduler(
            lambda key: key in self._cancelled and not deduplicator.is_shared(key)
        )
        prepared = prefetch(self._preprocessor.prepare, iter(requests), PREFETCH)
        try:
            for result in scheduler.run(deduplicator.filter(prepared)):
                if isinstance(result, Piece):
                    yield result
                    continue
                self._cancelled.forget(result.key)
                yield from deduplicator.share(result)
        except FATAL as error:
            raise EngineError(f"the model failed: {error}") from error
        finally:
            prepared.close()
            if scheduler.shrunk:
                self._slots = scheduler.slots

    def cancel(self, key: str) -> None:
        """Stop a request; see ServingEngine."""
        self._cancelled.note(key)

    def next_logits(self, request: Request) -> torch.Tensor:
        """Compute the logits of the first token of an answer, free of its grammar.

        Shape: (vocabulary,), float32, on the CPU.
        Raises: PhotoError, EngineError.
        """
        prepared = self._preprocessor.prepare(replace(request, grammar=None))
        try:
            scheduler = self._scheduler()
            hidden = self._runner.forward([scheduler.admit(prepared)], scheduler.cache)
            logits = self._runner.logits(hidden)[0].float().cpu()
        except FATAL as error:
            raise EngineError(f"the model failed: {error}") from error
        return logits

    def prepare(self, request: Request) -> PreparedPrompt:
        """Compute the input of the model for a request.

        Raises: PhotoError.
        """
        prepared = self._preprocessor.prepare(request)
        floats = [self._preprocessor.patches.floats(photo.patches) for photo in prepared.photos]
        return PreparedPrompt(
            prepared.token_ids.tolist(),
            torch.cat(floats) if floats else torch.empty(0),
            [photo.grid.tolist() for photo in prepared.photos],
        )

    def token_names(self, token_ids: Sequence[int]) -> list[str]:
        """Look up the tokenizer's own names of tokens."""
        return self._tokenizer.convert_ids_to_tokens(list(token_ids))

    @property
    def weight_bytes(self) -> int:
        """Memory of the weights, shared ones counted once. Units: bytes."""
        weights = {id(w): w for w in (*self._model.parameters(), *self._model.buffers())}
        return sum(_nbytes(weight) for weight in weights.values())

    def merge_adapters(self) -> None:
        """Merge the adapters into the weights in memory, for good."""
        if isinstance(self._model, PeftModel):
            self._model = self._model.merge_and_unload()
            self._runner.base = self._model
            self._kept.clear()

    @property
    def reuse(self) -> Reuse:
        """What requests needed so far, and what of it was computed for earlier ones."""
        return self._kept.reuse

    @property
    def forward_passes(self) -> int:
        """Number of forward passes so far."""
        return self._runner.forward_passes

    @property
    def _base(self) -> VisionLanguageModel:
        """The checkpoint's own class, with or without adapters in it."""
        model = self._model
        base: VisionLanguageModel = (
            model.get_base_model() if isinstance(model, PeftModel) else model
        )
        return base

    @cached_property
    def _grammars(self) -> Grammars:
        end_tokens = sorted(self._detokenizer.end_tokens)
        return Grammars(self._tokenizer, end_tokens, self._runner.vocabulary_size)

    def _constraint(self, request: Request) -> Constraint | None:
        """Start the constraint of an answer, if it has one.

        Raises: EngineError; ItemError for a foreign grammar that is of no use.
        """
        grammar = wanted_grammar(request, constrain=self.spec.constrain)
        return None if grammar is None else self._grammars.constraint(grammar)

    def _scheduler(self, is_cancelled: Callable[[str], bool] = lambda key: False) -> Scheduler:
        return Scheduler(
            self._runner,
            self.spec,
            self._detokenizer,
            constrain=self._constraint,
            kept=self._kept,
            drafts=self._drafts,
            slots=self._slots,
            is_cancelled=is_cancelled,
        )


def _nbytes(weight: torch.Tensor) -> int:
    """Return the size of a weight; a quantised one consists of several tensors. Units: bytes."""
    if not is_quantized(weight):
        return int(weight.nbytes)
    names, _ = getattr(weight, "__tensor_flatten__")()  # noqa: B009 - tensors do not declare it
    return sum(_nbytes(getattr(weight, name)) for name in names)


def _end_tokens(configured: int | list[int] | None, tokenizer: Tokenizer) -> list[int]:
    """Return the tokens that end an answer: the checkpoint's, and its tokenizer's own."""
    tokens = [configured] if isinstance(configured, int) else list(configured or [])
    if tokenizer.eos_token_id is not None:
        tokens.append(tokenizer.eos_token_id)
    return list(dict.fromkeys(tokens))
