"""vLLM in this process: requests join its batch as they come, answers leave as they end."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from transformers import AutoTokenizer
from vllm import LLM, SamplingParams, exceptions
from vllm.lora.request import LoRARequest
from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams
from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

from shenhe.checkpoints.gate import admit_adapters
from shenhe.checkpoints.inspect import find_adapter, find_checkpoint, fingerprint
from shenhe.checkpoints.interfaces import Tokenizer
from shenhe.checkpoints.processor import read_budget
from shenhe.engines.base import IDLE_SECONDS, EngineSpec, ServingEngine
from shenhe.engines.cancelling import Cancellations, cancelled
from shenhe.engines.options import VllmOptions
from shenhe.engines.prompts import load_photos, prompt_text
from shenhe.engines.sampling import sampling_of, seed_of
from shenhe.engines.streaming import Streams
from shenhe.engines.vllm_options import engine_options, read_vllm_options, require_plain_lora
from shenhe.engines.vllm_outputs import VllmOutput, choice_logprobs, token_logprobs
from shenhe.engines.workers import RequestQueue
from shenhe.errors import AdapterError, EngineError, ItemError, OptionError, item_wall, spelled
from shenhe.formats.closing import close_truncated
from shenhe.messages import (
    Answer,
    FreeGrammar,
    Grammar,
    ImagePart,
    Message,
    PhotoSize,
    Piece,
    Request,
    RequestFailed,
    Served,
)
from shenhe.photos import PixelBudget

TOP_LOGPROBS = 20
MAX_IDLE_DIFFERENCE = 1e-6
"""Largest difference of log-probabilities between runs of one model."""
REFUSALS = (ValueError, TypeError, getattr(exceptions, "VLLMClientError", ValueError))
"""Exceptions of vLLM over one request; its own root is missing in older versions."""
FATAL = (
    *(EngineDeadError, EngineGenerateError, getattr(exceptions, "VLLMError", RuntimeError)),
    *(RuntimeError, ValueError, TypeError, KeyError, OSError),
)
"""Exceptions of vLLM after which the engine cannot go on."""


class _Running(NamedTuple):
    """A request that vLLM works on, the sizes of its photos, and the characters passed on."""

    request: Request
    sizes: tuple[PhotoSize, ...]
    length: int = 0


class VllmEngine(ServingEngine):
    """A checkpoint, or a base with one adapter, in vLLM."""

    def __init__(self, spec: EngineSpec[VllmOptions]) -> None:
        """Load the model.

        Raises: UsageError for options that vLLM has no use for; CheckpointError, AdapterError, also
        for an adapter without any effect there; EngineError if vLLM cannot start.
        """
        if len(spec.adapters) > 1:
            problem = "vLLM applies one at a time; merge them (shenhe merge)"
            raise OptionError("adapters", None, problem)
        self.spec = spec
        base = find_checkpoint(spec.model)
        adapters = [find_adapter(name) for name in spec.adapters]
        admitted = admit_adapters(base, adapters)
        require_plain_lora(admitted)
        budget = read_budget(base)
        self._budget = PixelBudget(budget.min_pixels, spec.max_pixels or budget.max_pixels)
        self._tokenizer: Tokenizer = AutoTokenizer.from_pretrained(
            base.folder, trust_remote_code=False
        )
        self.fingerprint = fingerprint(base, *adapters)
        self._lora = None
        for adapter in admitted:
            self._lora = LoRARequest("adapter", 1, str(adapter.files.folder))
        options = engine_options(spec, base, admitted)
        try:
            self._engine = LLM(**(options | read_vllm_options(spec.engine.vllm_options))).llm_engine
        except FATAL as error:
            raise EngineError(f"vLLM cannot start: {error}") from error
        self._count, self._cancelled = 0, Cancellations()
        if self._lora is not None:
            self._require_effective_adapter()

    def serve(self, requests: Iterable[Request | None]) -> Generator[Served, None, None]:
        """Answer requests in the order in which vLLM ends them; see ServingEngine."""
        queue, streams = RequestQueue(requests), Streams()
        limit = self.spec.max_batch_size or self.spec.engine.usual_batch_size
        running: dict[str, _Running] = {}
        try:
            while not queue.exhausted or running:
                while len(running) < limit and (taken := queue.take(1)):
                    (request,) = taken
                    try:
                        name, sizes = self._add(request, cumulative=request.streamed)
                    except ItemError as error:
                        yield RequestFailed.of(request, error)
                        continue
                    running[name] = _Running(request, sizes)
                yield from self._stop_cancelled(running)
                if queue.paused and not running:
                    time.sleep(IDLE_SECONDS)
                for output in self._step() if running else ():
                    yield from self._results(running, output, streams)
        finally:
            if running:
                self._engine.abort_request(list(running))

    def cancel(self, key: str) -> None:
        """Stop a request; see ServingEngine."""
        self._cancelled.note(key)

    def _stop_cancelled(self, running: dict[str, _Running]) -> Iterator[RequestFailed]:
        """End the requests that nobody waits for."""
        names = [name for name, r in running.items() if r.request.key in self._cancelled]
        if names:
            self._engine.abort_request(names)
        for name in names:
            request = running.pop(name).request
            self._cancelled.forget(request.key)
            yield cancelled(request)

    def _results(
        self, running: dict[str, _Running], output: VllmOutput, streams: Streams
    ) -> Iterator[Served]:
        """Yield what an output has that is new: a piece, or the result at the end."""
        if output.request_id not in running:
            return
        request, sizes, length = running[output.request_id]
        if not output.finished:
            # U+FFFD stands for a character whose tokens are not complete yet.
            text = output.outputs[0].text.rstrip("\ufffd")
            running[output.request_id] = _Running(request, sizes, max(length, len(text)))
            yield from streams.add(Piece(request.key, text[length:]))
            return
        del running[output.request_id]
        self._cancelled.forget(request.key)
        try:
            answer = self._read(request, sizes, output)
        except ItemError as error:
            yield from streams.end(RequestFailed.of(request, error))
        else:
            yield from streams.end(answer, streamed=request.streamed)

    def close(self) -> None:
        """Stop the processes that vLLM has started."""
        self._engine.engine_core.shutdown()

    def _add(
        self, request: Request, *, cumulative: bool = False, adapted: bool = True
    ) -> tuple[str, tuple[PhotoSize, ...]]:
        """Hand a request to vLLM; returns its name there and the sizes of its photos.

        Raises: PhotoError; ItemError for a request that vLLM refuses, as one that is too long;
        EngineError.
        """
        loaded = load_photos(request, self._budget)
        with item_wall("library_error", "the question"):
            prompt: dict[str, object] = {"prompt": prompt_text(request.messages, self._tokenizer)}
        if loaded:
            prompt["multi_modal_data"] = {"image": [photo.image for photo in loaded]}
        self._count += 1
        name = f"shenhe-{self._count}"
        kind = RequestOutputKind.CUMULATIVE if cumulative else RequestOutputKind.FINAL_ONLY
        try:
            self._engine.add_request(
                name,
                prompt,
                self._sampling_params(request, kind),
                lora_request=self._lora if adapted else None,
            )
        except REFUSALS as error:
            raise ItemError("refused", f"vLLM refuses the question: {error}") from error
        except FATAL as error:
            raise EngineError(f"vLLM failed: {error}") from error
        return name, tuple(photo.sizes for photo in loaded)

    def _sampling_params(self, request: Request, kind: RequestOutputKind) -> SamplingParams:
        sampling = sampling_of(request, self.spec)
        drawn: dict[str, object] = {}
        if sampling.temperature:
            seed = seed_of(self.spec.seed, request) if sampling.seed is None else sampling.seed
            drawn = {"top_p": sampling.top_p, "top_k": sampling.top_k, "min_p": sampling.min_p}
            drawn["seed"] = seed
        top = [TOP_LOGPROBS] * bool(request.choices)
        top += [request.top_logprobs] if request.top_logprobs is not None else []
        return SamplingParams(
            temperature=sampling.temperature,
            repetition_penalty=sampling.repetition_penalty,
            max_tokens=request.max_new_tokens,
            stop=list(request.stop),
            skip_special_tokens=False,
            logprobs=max(top, default=None),
            structured_outputs=self._constraint(request.grammar),
            output_kind=kind,
            **drawn,
        )

    def _constraint(self, grammar: Grammar | FreeGrammar | None) -> StructuredOutputsParams | None:
        if isinstance(grammar, FreeGrammar):
            name = {"lark": "grammar", "json_schema": "json"}.get(grammar.language, "regex")
            # With any space allowed a small model may write nothing else.
            return StructuredOutputsParams(**{name: grammar.source}, disable_any_whitespace=True)
        if grammar is None or not self.spec.constrain:
            return None
        return StructuredOutputsParams(grammar=grammar.lark)

    def _step(self) -> list[VllmOutput]:
        try:
            outputs: list[VllmOutput] = self._engine.step()
        except FATAL as error:
            raise EngineError(f"vLLM failed: {error}") from error
        return outputs

    def _read(self, request: Request, sizes: tuple[PhotoSize, ...], output: VllmOutput) -> Answer:
        """Read a finished request.

        Raises: ItemError for one that was aborted: half a verdict may look complete.
        """
        completion = output.outputs[0]
        if completion.finish_reason not in ("stop", "length"):
            raise ItemError("bad_answer", f"vLLM ended the answer by {completion.finish_reason}")
        text = completion.text.removesuffix(self._tokenizer.eos_token or "")
        grammar = request.grammar if self.spec.constrain else None
        if completion.finish_reason == "length" and isinstance(grammar, Grammar):
            text = close_truncated(text, grammar)
        return Answer(
            key=request.key,
            text=text,
            finish_reason="length" if completion.finish_reason == "length" else "stop",
            prompt_tokens=len(output.prompt_token_ids),
            new_tokens=len(completion.token_ids),
            sizes=sizes,
            choice_logprobs=choice_logprobs(request.choices, completion, self._tokenizer),
            attempt=request.attempt,
            token_logprobs=token_logprobs(request.top_logprobs, completion, self._tokenizer),
        )

    def _require_effective_adapter(self) -> None:
        """Compare one photo with and without the adapter: vLLM has ignored adapters silently.

        Raises: AdapterError; EngineError for scores that are not finite.
        """
        with tempfile.TemporaryDirectory() as folder:
            photo = Path(folder, "photo.png")
            Image.effect_noise((256, 256), 60).convert("RGB").save(photo)
            message = Message("user", (ImagePart(photo), "描述这张图片"))
            request = Request("adapter", (message,), 1, choices=("",))
            with_adapter = self._first_logprobs(request, adapted=True)
            without = self._first_logprobs(request, adapted=False)
        if any(map(math.isnan, [*with_adapter.values(), *without.values()])):
            raise EngineError(
                "the model's scores are no numbers (NaN or infinite) in vLLM: try another"
                f" {spelled('dtype')}; else a weight is damaged, see shenhe verify"
            )
        differences = [
            abs(with_adapter[token] - without[token])
            for token in with_adapter.keys() & without.keys()
        ]
        same_tokens = with_adapter.keys() == without.keys()
        if same_tokens and max(differences, default=0.0) <= MAX_IDLE_DIFFERENCE:
            raise AdapterError(
                f"{spelled('adapters', self.spec.adapters[0])}: vLLM answers the same with and"
                " without it; merge it (shenhe merge), and give the merged checkpoint"
            )

    def _first_logprobs(self, request: Request, *, adapted: bool) -> dict[int, float]:
        """Run one request, and return the top log-probabilities of its first token."""
        self._add(request, adapted=adapted)
        outputs: list[VllmOutput] = []
        while not outputs:
            outputs = self._step()
        logprobs = outputs[0].outputs[0].logprobs or [{}]
        return {token: entry.logprob for token, entry in logprobs[0].items()}
