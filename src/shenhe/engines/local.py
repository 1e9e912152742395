"""transformers in this process: the checkpoint's own processor and classes, left-padded batches."""

from __future__ import annotations

import math
import warnings
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from threading import Event, Thread
from typing import Any

import torch
from jinja2 import TemplateError
from peft import PeftModel
from transformers import LogitsProcessorList, TextIteratorStreamer

from shenhe import photos
from shenhe.checkpoints.load import load_checkpoint
from shenhe.engines.base import EngineSpec
from shenhe.engines.sampling import OpeningScores, RowSampler
from shenhe.errors import EngineError, PhotoError, UsageError
from shenhe.photos import LoadedPhoto, PixelBudget
from shenhe.records import Answer, Failed, ImagePart, Message, Request

FATAL = (RuntimeError, ValueError, IndexError, TemplateError)
"""What transformers, torch and a checkpoint's chat template raise when they cannot go on."""


@dataclass(frozen=True, slots=True)
class _Opened:
    """A request with its pixels."""

    request: Request
    photos: tuple[LoadedPhoto, ...]


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

    def __init__(self, spec: EngineSpec) -> None:
        """Load the checkpoint.

        Raises: CheckpointError, AdapterError, UsageError.
        """
        self.spec = spec
        loaded = load_checkpoint(
            spec.model,
            spec.adapters,
            dtype=spec.dtype,
            attn_impl=spec.attn_impl,
            device=spec.device,
            quantize=spec.quantize,
        )
        self._model, self._processor = loaded.model, loaded.processor
        self._tokenizer = loaded.processor.tokenizer
        self._budget = _budget(loaded.budget, spec.max_pixels)
        self._batch_size = spec.batch_size
        self._ends = _end_tokens(self._model.generation_config.eos_token_id, self._tokenizer)
        self.fingerprint = loaded.fingerprint

    def answer(self, requests: Iterable[Request]) -> Iterator[Answer | Failed]:
        """Answer in batches, in the order of the requests; see Engine."""
        source = iter(requests)
        while batch := list(islice(source, self.spec.batch_size)):
            opened = []
            for request in batch:
                try:
                    opened.append(self._open(request))
                except PhotoError as error:
                    yield Failed(request.key, error.code, str(error), request.attempt)
            yield from self._answer_opened(opened)

    def stream(self, request: Request) -> Generator[str, None, Answer]:
        """Yield the text of one answer as it is written; see Engine."""
        opened = self._open(request)
        inputs = self._inputs([opened])
        streamer = TextIteratorStreamer(self._tokenizer, skip_prompt=True, timeout=None)
        stop = Event()
        arguments = self._arguments(inputs, [request]) | {
            "streamer": streamer,
            "stopping_criteria": [lambda ids, scores: ids.new_full((len(ids),), stop.is_set())],
        }
        written: list[list[int]] = []
        raised: list[BaseException] = []

        def generate() -> None:
            try:
                with torch.inference_mode():
                    output = self._model.generate(**arguments)
                written.append(output[0, inputs["input_ids"].shape[1] :].tolist())
            except FATAL as error:
                raised.append(error)
                streamer.end()

        worker = Thread(target=generate, daemon=True)
        worker.start()
        endings = self._tokenizer.convert_ids_to_tokens(self._ends)
        try:
            for piece in streamer:
                for ending in endings:
                    piece = piece.replace(ending, "")
                if piece:
                    yield piece
        finally:
            stop.set()
            worker.join()
        if raised:
            raise EngineError(f"the model failed while it wrote: {raised[0]}") from raised[0]
        return self._answer(opened, written[0], inputs["input_ids"].shape[1], 0, None)

    def next_logits(self, request: Request) -> torch.Tensor:
        """Give the logits of the first token of an answer, before anything is made of them.

        Shape: (vocabulary,), float32, on the CPU.
        Raises: PhotoError, EngineError.
        """
        inputs = self._inputs([self._open(request)])
        try:
            with torch.inference_mode():
                logits: torch.Tensor = self._model(**inputs).logits[0, -1]
        except FATAL as error:
            raise EngineError(f"the model failed: {error}") from error
        return logits.float().cpu()

    def prepared(self, request: Request) -> PreparedPrompt:
        """Give what the model would be given for a request, before it is.

        Raises: PhotoError.
        """
        inputs = self._inputs([self._open(request)])
        pixels, grids = inputs.get("pixel_values"), inputs.get("image_grid_thw")
        return PreparedPrompt(
            inputs["input_ids"][0].tolist(),
            torch.empty(0) if pixels is None else pixels.float().cpu(),
            [] if grids is None else grids.tolist(),
        )

    def tokens(self, token_ids: Sequence[int]) -> list[str]:
        """Give the tokenizer's own names of tokens."""
        return list(self._tokenizer.convert_ids_to_tokens(list(token_ids)))

    def merge_adapters(self) -> None:
        """Merge the adapters into the weights in memory; there is no way back."""
        if isinstance(self._model, PeftModel):
            self._model = self._model.merge_and_unload()

    def _open(self, request: Request) -> _Opened:
        references = [
            part
            for message in request.messages
            for part in message.parts
            if isinstance(part, ImagePart)
        ]
        return _Opened(request, tuple(photos.load(part.path, self._budget) for part in references))

    def _answer_opened(self, opened: Sequence[_Opened]) -> Iterator[Answer | Failed]:
        """Generate in pieces of the batch size, halved whenever a GPU runs out of memory."""
        waiting = list(opened)
        while waiting:
            piece = waiting[: self._batch_size]
            try:
                answers = self._generate(piece)
            except torch.OutOfMemoryError as error:
                torch.cuda.empty_cache()
                if len(piece) > 1:
                    self._batch_size = math.ceil(len(piece) / 2)
                    warnings.warn(
                        f"out of memory: the batch size is now {self._batch_size}", stacklevel=2
                    )
                    continue
                message = f"one request alone is too large; lower --max-pixels: {error}"
                request = piece[0].request
                answers = [Failed(request.key, "out_of_memory", message, request.attempt)]
            except FATAL as error:
                raise EngineError(f"the model failed: {error}") from error
            waiting = waiting[len(piece) :]
            yield from answers

    def _generate(self, opened: Sequence[_Opened]) -> list[Answer | Failed]:
        requests = [item.request for item in opened]
        inputs = self._inputs(opened)
        opening = OpeningScores()
        arguments = self._arguments(inputs, requests)
        if any(request.choices for request in requests):
            arguments["logits_processor"].insert(0, opening)
        with torch.inference_mode():
            output = self._model.generate(**arguments)
        width = inputs["input_ids"].shape[1]
        prompt_lengths = inputs["attention_mask"].sum(1).tolist()
        return [
            self._answer(item, row[width:].tolist(), length, index, opening.logprobs)
            for index, (item, row, length) in enumerate(
                zip(opened, output, prompt_lengths, strict=True)
            )
        ]

    def _answer(
        self,
        item: _Opened,
        tokens: list[int],
        prompt_tokens: int,
        index: int,
        opening: torch.Tensor | None,
    ) -> Answer:
        request = item.request
        tokens = tokens[: request.max_new_tokens]
        end = next((at for at, token in enumerate(tokens) if token in self._ends), None)
        logprobs = {}
        if opening is not None:
            firsts = {choice: self._first_token(choice) for choice in request.choices}
            if len(set(firsts.values())) == len(
                firsts
            ):  # else the opening does not tell them apart
                logprobs = {
                    choice: opening[index, first].item() for choice, first in firsts.items()
                }
        return Answer(
            key=request.key,
            # Special tokens are kept: some checkpoints write boxes with them.
            text=self._tokenizer.decode(tokens[:end], skip_special_tokens=False),
            finish_reason="length" if end is None else "stop",
            prompt_tokens=prompt_tokens,
            new_tokens=len(tokens) if end is None else end,
            sizes=tuple(photo.sizes for photo in item.photos),
            choice_logprobs=logprobs,
            attempt=request.attempt,
        )

    def _first_token(self, text: str) -> int:
        return int(self._tokenizer(text, add_special_tokens=False)["input_ids"][0])

    def _inputs(self, opened: Sequence[_Opened]) -> Any:
        """Lay out a left-padded batch. Shape: input_ids (requests, longest prompt)."""
        texts = [
            self._tokenizer.apply_chat_template(
                [_as_template_message(message) for message in item.request.messages],
                tokenize=False,
                add_generation_prompt=True,
            )
            for item in opened
        ]
        images = [photo.image for item in opened for photo in item.photos]
        return self._processor(
            text=texts,
            images=images or None,
            padding=True,
            return_tensors="pt",
            **({"do_resize": False} if images else {}),
        ).to(self._model.device)

    def _arguments(self, inputs: Any, requests: Sequence[Request]) -> dict[str, Any]:
        sampler = RowSampler(requests, self.spec)
        return {
            **inputs,
            "max_new_tokens": max(request.max_new_tokens for request in requests),
            # Sampling, where it is asked for, is the sampler's: see RowSampler.
            "do_sample": False,
            "temperature": None,
            "top_p": None,
            "top_k": None,
            "eos_token_id": self._ends,
            "pad_token_id": self._tokenizer.pad_token_id,
            "logits_processor": LogitsProcessorList([sampler] if sampler.needed else []),
        }


def _as_template_message(message: Message) -> dict[str, Any]:
    parts = [
        {"type": "image"} if isinstance(part, ImagePart) else {"type": "text", "text": part}
        for part in message.parts
    ]
    return {"role": message.role, "content": parts}


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
