"""transformers in this process: the checkpoint's own classes, many answers at once."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from peft import PeftModel

from shenhe.checkpoints.load import load_checkpoint
from shenhe.engines.base import EngineSpec
from shenhe.engines.local.constraint import Grammars
from shenhe.engines.local.deduplication import Sharing
from shenhe.engines.local.model_runner import ModelRunner
from shenhe.engines.local.ngram_drafts import Drafts
from shenhe.engines.local.prefix_cache import Heads
from shenhe.engines.local.preprocessing import Opener
from shenhe.engines.local.scheduler import Batch
from shenhe.engines.local.sequence import Reader
from shenhe.engines.local.skinny_linear import is_quantized
from shenhe.engines.options import LocalOptions
from shenhe.errors import EngineError, ItemError, UsageError, item_wall
from shenhe.messages import Answer, Request, RequestFailed
from shenhe.photos import PixelBudget

AHEAD = 16
"""Photos are opened for so many requests to come: 3 MB each at Qwen3-VL's own pixel budget."""
FATAL = (RuntimeError, ValueError, IndexError)
"""What transformers and torch raise when they cannot go on."""


@dataclass(frozen=True, slots=True)
class PreparedPrompt:
    """What a model is given: token ids, patches of all photos, (frames, rows, columns) of each.

    Shape: pixels (patches, channels x patch), float32; empty without photos.
    """

    token_ids: list[int]
    pixels: torch.Tensor
    grids: list[list[int]]


class LocalEngine:
    """An Engine over one loaded checkpoint."""

    def __init__(self, spec: EngineSpec[LocalOptions]) -> None:
        """Load the checkpoint.

        Raises: CheckpointError, AdapterError, UsageError.
        """
        self.spec = spec
        loaded = load_checkpoint(
            spec.model,
            spec.adapters,
            dtype=spec.engine.dtype,
            attn_impl=spec.engine.attn_impl,
            device=spec.engine.device,
            quantize=spec.engine.quantize,
        )
        self._model, self._tokenizer = loaded.model, loaded.processor.tokenizer
        budget = _budget(loaded.budget, spec.max_pixels)
        self._opener = Opener(loaded.processor, self._base, budget)
        self._runner = ModelRunner(self._base, self._opener.patches)
        ends = self._model.generation_config.eos_token_id
        self._reader = Reader(self._tokenizer, _end_tokens(ends, self._tokenizer))
        self._heads, self._drafts = Heads(), Drafts()
        self._places = spec.max_batch_size
        self.fingerprint = loaded.fingerprint

    def answer(self, requests: Iterable[Request]) -> Iterator[Answer | RequestFailed]:
        """Answer many requests at a time, those first that end first; see Engine.

        Requests that ask the same of the same pixels are answered once, where nothing is drawn.
        """
        batch = self._batch()
        ahead = self._opener.ahead(iter(requests), AHEAD)
        sharing = Sharing(self.spec, most=AHEAD)
        try:
            for result in batch.write(sharing.asked(ahead)):
                yield from sharing.told(result)
        except FATAL as error:
            raise EngineError(f"the model failed: {error}") from error
        finally:
            ahead.close()
            if batch.halved:
                self._places = batch.places

    def stream(self, request: Request) -> Generator[str, None, Answer]:
        """Yield the text of one answer as it is written; see Engine."""
        batch = self._batch()
        told = ""
        try:
            with item_wall("library_error", "the question"):
                opened = self._opener.open(request)
            writing = batch.begin(opened, row=0)
            while not writing.ended:
                batch.step([writing])
                text = told
                with writing.alone():
                    text = self._reader.text(writing.written).rstrip("\ufffd")
                if text.startswith(told) and text != told:
                    yield text[len(told) :]
                    told = text
            answer = self._reader.result(writing)
        except FATAL as error:
            raise EngineError(f"the model failed while it wrote: {error}") from error
        if isinstance(answer, RequestFailed):
            raise ItemError(answer.code, answer.message)
        if answer.text.startswith(told) and answer.text != told:
            yield answer.text[len(told) :]
        return answer

    def next_logits(self, request: Request) -> torch.Tensor:
        """Give the logits of the first token of an answer, before anything is made of them.

        Shape: (vocabulary,), float32, on the CPU.
        Raises: PhotoError, EngineError.
        """
        opened = self._opener.open(replace(request, grammar=None))
        try:
            batch = self._batch()
            hidden = self._runner.forward([batch.begin(opened, row=0)], batch.store)
            first = self._runner.logits(hidden)[0].float().cpu()
        except FATAL as error:
            raise EngineError(f"the model failed: {error}") from error
        return first

    def prepared(self, request: Request) -> PreparedPrompt:
        """Give what the model would be given for a request, before it is.

        Raises: PhotoError.
        """
        opened = self._opener.open(request)
        return PreparedPrompt(
            opened.token_ids.tolist(),
            torch.empty(0)
            if opened.patches is None
            else self._opener.patches.floats(opened.patches),
            [] if opened.grids is None else opened.grids.tolist(),
        )

    def tokens(self, token_ids: Sequence[int]) -> list[str]:
        """Give the tokenizer's own names of tokens."""
        return list(self._tokenizer.convert_ids_to_tokens(list(token_ids)))

    @property
    def weight_bytes(self) -> int:
        """What the weights take in memory, each counted once."""
        weights = {id(w): w for w in (*self._model.parameters(), *self._model.buffers())}
        return sum(_bytes_of(weight) for weight in weights.values())

    def merge_adapters(self) -> None:
        """Merge the adapters into the weights in memory; there is no way back."""
        if isinstance(self._model, PeftModel):
            self._model = self._model.merge_and_unload()
            self._runner.base = self._model
            self._heads.clear()

    @property
    def forward_passes(self) -> int:
        """How often the model has been run."""
        return self._runner.forward_passes

    @property
    def _base(self) -> Any:
        """The checkpoint's own class, whatever adapters were put into it."""
        return self._model.get_base_model() if isinstance(self._model, PeftModel) else self._model

    @cached_property
    def _grammars(self) -> Grammars:
        vocabulary = self._base.config.text_config.vocab_size
        return Grammars(self._tokenizer, sorted(self._reader.ends), vocabulary)

    def _batch(self) -> Batch:
        return Batch(
            self._runner,
            self.spec,
            self._reader,
            grammars=self._grammars if self.spec.constrain else None,
            heads=self._heads,
            drafts=self._drafts,
            places=self._places,
        )


def _bytes_of(weight: Any) -> int:
    """Count the bytes of a weight; a quantised one is made of several tensors."""
    if not is_quantized(weight):
        return int(weight.nbytes)
    parts, _ = weight.__tensor_flatten__()
    return sum(_bytes_of(getattr(weight, part)) for part in parts)


def _budget(own: PixelBudget, max_pixels: int | None) -> PixelBudget:
    if max_pixels is None:
        return own
    if max_pixels < own.min_pixels:
        raise UsageError(
            f"--max-pixels {max_pixels}: below the least of this checkpoint, {own.min_pixels}"
        )
    return PixelBudget(own.min_pixels, max_pixels)


def _end_tokens(configured: int | list[int] | None, tokenizer: Any) -> list[int]:
    """The tokens that end an answer: the checkpoint's, and its tokenizer's own."""
    ends = [configured] if isinstance(configured, int) else list(configured or [])
    return list(dict.fromkeys([*ends, tokenizer.eos_token_id]))
