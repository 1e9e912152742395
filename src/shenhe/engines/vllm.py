"""vLLM in this process: requests join its batch as they come, answers leave as they end."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

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
from shenhe.engines.base import EngineSpec
from shenhe.engines.logprobs import are_plausible, is_logprob
from shenhe.engines.options import VllmOptions
from shenhe.engines.prompts import choice_tokens, load_photos, prompt_text
from shenhe.engines.sampling import seed_of
from shenhe.engines.streaming import StreamedText
from shenhe.engines.vllm_options import engine_options, read_vllm_options, require_plain_lora
from shenhe.errors import AdapterError, EngineError, ItemError, OptionError, item_wall, spelled
from shenhe.formats.closing import close_truncated
from shenhe.messages import Answer, ImagePart, Message, PhotoSize, Request, RequestFailed
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


class VllmLogprob(Protocol):
    """vLLM's Logprob."""

    logprob: float


class VllmCompletion(Protocol):
    """vLLM's CompletionOutput; `logprobs` are by token, for each position."""

    text: str
    token_ids: Sequence[int]
    finish_reason: str | None
    logprobs: Sequence[Mapping[int, VllmLogprob]] | None


class VllmOutput(Protocol):
    """vLLM's RequestOutput."""

    request_id: str
    finished: bool
    prompt_token_ids: Sequence[int]
    outputs: Sequence[VllmCompletion]


class VllmEngine:
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
        self._count = 0
        if self._lora is not None:
            self._require_effective_adapter()

    def answer(self, requests: Iterable[Request | None]) -> Iterator[Answer | RequestFailed]:
        """Answer requests in the order in which vLLM ends them; see PacedEngine."""
        source, exhausted = iter(requests), False
        limit = self.spec.max_batch_size or self.spec.engine.usual_batch_size
        running: dict[str, tuple[Request, tuple[PhotoSize, ...]]] = {}
        try:
            while not exhausted or running:
                while not exhausted and len(running) < limit:
                    try:
                        request = next(source)
                    except StopIteration:
                        exhausted = True
                        break
                    if request is None:
                        break
                    try:
                        name, sizes = self._add(request)
                    except ItemError as error:
                        yield RequestFailed.of(request, error)
                        continue
                    running[name] = request, sizes
                for output in self._step() if running else ():
                    if output.finished:
                        request, sizes = running.pop(output.request_id)
                        try:
                            yield self._read(request, sizes, output)
                        except ItemError as error:
                            yield RequestFailed.of(request, error)
        finally:
            if running:
                self._engine.abort_request(list(running))

    def stream(self, request: Request) -> Generator[str, None, Answer]:
        """Yield the text of one answer while it is generated; see Engine."""
        name, sizes = self._add(request, cumulative=True)
        streamed, output = StreamedText(), None
        try:
            while output is None or not output.finished:
                for output in self._step():
                    # U+FFFD stands for a character whose tokens are not complete yet.
                    if piece := streamed.extend(output.outputs[0].text.rstrip("\ufffd")):
                        yield piece
        finally:
            if output is None or not output.finished:
                self._engine.abort_request([name])
        answer = self._read(request, sizes, output)
        if piece := streamed.extend(answer.text):
            yield piece
        return answer

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
            prompt: dict[str, object] = {"prompt": prompt_text(request, self._tokenizer)}
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
        temperature = self.spec.temperature_of(request)
        constraint = None
        if self.spec.constrain and request.grammar is not None:
            constraint = StructuredOutputsParams(grammar=request.grammar.lark)
        return SamplingParams(
            temperature=temperature,
            top_p=self.spec.top_p if temperature else 1.0,
            repetition_penalty=self.spec.repetition_penalty,
            seed=seed_of(self.spec.seed, request) if temperature else None,
            max_tokens=request.max_new_tokens,
            skip_special_tokens=False,
            logprobs=TOP_LOGPROBS if request.choices else None,
            structured_outputs=constraint,
            output_kind=kind,
        )

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
        if completion.finish_reason == "length" and self.spec.constrain and request.grammar:
            text = close_truncated(text, request.grammar)
        return Answer(
            key=request.key,
            text=text,
            finish_reason="length" if completion.finish_reason == "length" else "stop",
            prompt_tokens=len(output.prompt_token_ids),
            new_tokens=len(completion.token_ids),
            sizes=sizes,
            choice_logprobs=self._choice_logprobs(request.choices, completion),
            attempt=request.attempt,
        )

    def _choice_logprobs(
        self, choices: Sequence[str], completion: VllmCompletion
    ) -> dict[str, float]:
        """Look up the log-probability of each choice; one without gets the lowest of the top.

        Empty if the answer does not come to where the choices part, or any of the top values there
        is no log-probability.
        """
        parting = choice_tokens(choices, self._tokenizer) if choices else None
        position = len(parting.shared) if parting else 0
        written = tuple(completion.token_ids[:position])
        if parting is None or written != parting.shared:
            return {}
        positions = completion.logprobs or ()
        top = positions[position] if len(positions) > position else {}
        tokens = parting.first
        values = {token: getattr(entry, "logprob", None) for token, entry in top.items()}
        # What the grammar refuses is listed too where it allows few tokens.
        values = {token: value for token, value in values.items() if value != -math.inf}
        if not are_plausible(values.values()):
            return {}
        logprobs = {token: float(value) for token, value in values.items() if is_logprob(value)}
        if not logprobs.keys() & tokens.values():
            return {}
        lowest = min(logprobs.values())
        return {choice: logprobs.get(token, lowest) for choice, token in tokens.items()}

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
