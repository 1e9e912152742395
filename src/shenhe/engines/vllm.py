"""vLLM in this process: requests join its batch as they come, answers leave as they end."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from PIL import Image
from transformers import AutoTokenizer
from vllm import LLM, SamplingParams
from vllm.lora.request import LoRARequest
from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

from shenhe.checkpoints.gate import AdmittedAdapter, admit_adapters
from shenhe.checkpoints.inspect import find_adapter, find_checkpoint, fingerprint, read_budget
from shenhe.engines.base import EngineSpec
from shenhe.engines.logprobs import are_plausible, is_logprob
from shenhe.engines.options import VllmOptions
from shenhe.engines.prompts import load_photos, prompt_text
from shenhe.engines.sampling import seed_of
from shenhe.engines.vllm_options import read_vllm_options
from shenhe.errors import AdapterError, EngineError, ItemError, OptionError, item_wall, spelled
from shenhe.formats.closing import close_truncated
from shenhe.messages import Answer, ImagePart, Message, PhotoSize, Request, RequestFailed
from shenhe.photos import PixelBudget

AT_ONCE = 256
"""So many requests are with vLLM, where `batch_size` says nothing: its scheduler takes of them what
its memory holds."""
TOP_LOGPROBS = 20
SAME = 1e-6
"""Log-probabilities that differ by no more are those of one model."""
FATAL = (RuntimeError, ValueError, TypeError, KeyError, OSError)


class VllmEngine:
    """A checkpoint, or a base with one adapter, in vLLM."""

    def __init__(self, spec: EngineSpec[VllmOptions]) -> None:
        """Load the model.

        Raises: UsageError for options that vLLM has no use for; CheckpointError, AdapterError, also
        where an adapter does nothing there; EngineError with what vLLM says when it cannot start.
        """
        if len(spec.adapters) > 1:
            problem = "vLLM applies one at a time; merge them (shenhe merge)"
            raise OptionError("adapters", None, problem)
        self.spec = spec
        base = find_checkpoint(spec.model)
        adapters = [find_adapter(name) for name in spec.adapters]
        admitted = admit_adapters(base, adapters)
        _refuse_what_vllm_passes_over(admitted)
        own = read_budget(base)
        self._budget = PixelBudget(own.min_pixels, spec.max_pixels or own.max_pixels)
        self._tokenizer = AutoTokenizer.from_pretrained(base.folder, trust_remote_code=False)
        self.fingerprint = fingerprint(base, *adapters)
        options: dict[str, Any] = {
            "model": str(base.folder),
            "trust_remote_code": False,
            "dtype": spec.engine.dtype,
            "seed": spec.seed,
            "limit_mm_per_prompt": {"video": 0},
            # Grammars are read by llguidance here as in the local engine.
            "structured_outputs_config": {"backend": "guidance"},
            "generation_config": "vllm",  # greedy is greedy, whatever the checkpoint's own say
            "disable_log_stats": True,
        }
        self._lora = None
        for adapter in admitted:
            self._lora = LoRARequest("adapter", 1, str(adapter.files.folder))
            rank = _rank(max(adapter.settings.ranks.values()))
            options |= {"enable_lora": True, "max_lora_rank": rank}
            if any(".visual." in name for name in adapter.contents.modules):
                options["enable_tower_connector_lora"] = True
        try:
            self._engine = LLM(**(options | read_vllm_options(spec.engine.vllm_options))).llm_engine
        except FATAL as error:
            raise EngineError(f"vLLM cannot start: {error}") from error
        self._count = 0
        if self._lora is not None:
            self._refuse_an_idle_adapter()

    def answer(self, requests: Iterable[Request]) -> Iterator[Answer | RequestFailed]:
        """Answer requests as vLLM ends them; see Engine."""
        source, more = iter(requests), True
        flying: dict[str, tuple[Request, tuple[PhotoSize, ...]]] = {}
        try:
            while more or flying:
                while more and len(flying) < (self.spec.max_batch_size or AT_ONCE):
                    request = next(source, None)
                    if request is None:
                        more = False
                        break
                    try:
                        name, sizes = self._add(request)
                    except ItemError as error:
                        yield RequestFailed(request.key, error.code, str(error), request.attempt)
                        continue
                    flying[name] = request, sizes
                for output in self._step() if flying else ():
                    if output.finished:
                        request, sizes = flying.pop(output.request_id)
                        try:
                            yield self._read(request, sizes, output)
                        except ItemError as error:
                            yield RequestFailed(
                                request.key, error.code, str(error), request.attempt
                            )
        finally:
            if flying:
                self._engine.abort_request(list(flying))

    def stream(self, request: Request) -> Generator[str, None, Answer]:
        """Yield the text of one answer as it is written; see Engine."""
        name, sizes = self._add(request, cumulative=True)
        told, output = "", None
        try:
            while output is None or not output.finished:
                for output in self._step():
                    text = output.outputs[0].text.rstrip("\ufffd")
                    if text.startswith(told) and text != told:
                        yield text[len(told) :]
                        told = text
        finally:
            if output is None or not output.finished:
                self._engine.abort_request([name])
        answer = self._read(request, sizes, output)
        if answer.text.startswith(told) and answer.text != told:
            yield answer.text[len(told) :]
        return answer

    def close(self) -> None:
        """Let go of the processes that vLLM has started."""
        self._engine.engine_core.shutdown()

    def _add(
        self, request: Request, *, cumulative: bool = False, adapted: bool = True
    ) -> tuple[str, tuple[PhotoSize, ...]]:
        """Hand a request to vLLM.

        Raises: PhotoError; ItemError for what vLLM does not take, as a question that is too long;
        EngineError.
        """
        loaded = load_photos(request, self._budget)
        with item_wall("library_error", "the question"):
            prompt: dict[str, Any] = {"prompt": prompt_text(request, self._tokenizer)}
        if loaded:
            prompt["multi_modal_data"] = {"image": [photo.image for photo in loaded]}
        self._count += 1
        name = f"shenhe-{self._count}"
        kind = RequestOutputKind.CUMULATIVE if cumulative else RequestOutputKind.FINAL_ONLY
        try:
            self._engine.add_request(
                name,
                prompt,
                self._sampling(request, kind),
                lora_request=self._lora if adapted else None,
            )
        except (ValueError, TypeError) as error:
            raise ItemError("refused", f"vLLM refuses the question: {error}") from error
        except FATAL as error:
            raise EngineError(f"vLLM failed: {error}") from error
        return name, tuple(photo.sizes for photo in loaded)

    def _sampling(self, request: Request, kind: Any) -> Any:
        temperature = self.spec.temperature_of(request)
        held = None
        if self.spec.constrain and request.grammar is not None:
            held = StructuredOutputsParams(grammar=request.grammar.lark)
        return SamplingParams(
            temperature=temperature,
            top_p=self.spec.top_p if temperature else 1.0,
            seed=seed_of(self.spec.seed, request) if temperature else None,
            max_tokens=request.max_new_tokens,
            skip_special_tokens=False,
            logprobs=TOP_LOGPROBS if request.choices else None,
            structured_outputs=held,
            output_kind=kind,
        )

    def _step(self) -> list[Any]:
        try:
            outputs: list[Any] = self._engine.step()
        except FATAL as error:
            raise EngineError(f"vLLM failed: {error}") from error
        return outputs

    def _read(self, request: Request, sizes: tuple[PhotoSize, ...], output: Any) -> Answer:
        """Read what vLLM has ended.

        Raises: ItemError for what it ended otherwise than an answer ends: half a verdict may look
        whole.
        """
        said = output.outputs[0]
        if said.finish_reason not in ("stop", "length"):
            raise ItemError("bad_answer", f"vLLM ended the answer by {said.finish_reason}")
        text = said.text.removesuffix(self._tokenizer.eos_token or "")
        if said.finish_reason == "length" and self.spec.constrain and request.grammar:
            text = close_truncated(text, request.grammar)
        likely = said.logprobs[0] if request.choices and said.logprobs else {}
        return Answer(
            key=request.key,
            text=text,
            finish_reason="length" if said.finish_reason == "length" else "stop",
            prompt_tokens=len(output.prompt_token_ids),
            new_tokens=len(said.token_ids),
            sizes=sizes,
            choice_logprobs=self._choices(request.choices, likely),
            attempt=request.attempt,
        )

    def _choices(self, choices: Iterable[str], likely: Mapping[int, Any]) -> dict[str, float]:
        """Give each choice's log-probability; one that is not told is at most the least told.

        None is known where any that is told is no log-probability.
        """
        firsts = {c: self._tokenizer(c, add_special_tokens=False)["input_ids"][0] for c in choices}
        if len(set(firsts.values())) < len(firsts) or not likely:
            return {}
        told = {token: getattr(found, "logprob", None) for token, found in likely.items()}
        if not are_plausible(told.values()):
            return {}
        known = {token: float(value) for token, value in told.items() if is_logprob(value)}
        least = min(known.values())
        if not known.keys() & firsts.values():
            return {}
        return {c: known.get(token, least) for c, token in firsts.items()}

    def _refuse_an_idle_adapter(self) -> None:
        """Look at one photo with and without the adapter: vLLM has passed adapters over silently.

        Raises: AdapterError.
        """
        with tempfile.TemporaryDirectory() as folder:
            photo = Path(folder, "photo.png")
            Image.effect_noise((256, 256), 60).convert("RGB").save(photo)
            message = Message("user", (ImagePart(photo), "描述这张图片"))
            request = Request("adapter", (message,), 1, choices=("",))
            told = []
            for adapted in (True, False):
                self._add(request, adapted=adapted)
                outputs: list[Any] = []
                while not outputs:
                    outputs = self._step()
                told.append({t: p.logprob for t, p in outputs[0].outputs[0].logprobs[0].items()})
        with_it, without = told
        if any(map(math.isnan, [*with_it.values(), *without.values()])):
            raise EngineError(
                "the model's scores are no numbers (NaN or infinite) in vLLM: try another"
                f" {spelled('dtype')};"
                " else a weight is damaged, see shenhe verify"
            )
        moved = [abs(with_it[token] - without[token]) for token in with_it.keys() & without.keys()]
        if with_it.keys() == without.keys() and max(moved, default=0.0) <= SAME:
            raise AdapterError(
                f"{spelled('adapters', self.spec.adapters[0])}: vLLM answers the same with and"
                " without it; merge it (shenhe merge), and give the merged checkpoint"
            )


def _refuse_what_vllm_passes_over(adapters: Iterable[AdmittedAdapter]) -> None:
    for adapter in adapters:
        if adapter.kind != "LoRA" or adapter.contents.replaced:
            raise AdapterError(
                f"{adapter.files.folder}: vLLM applies LoRA on matrices only, this is more:"
                " merge it (shenhe merge), and give the merged checkpoint"
            )


def _rank(rank: int) -> int:
    """Give the least rank of those that vLLM makes room for."""
    return next((room for room in (8, 16, 32, 64, 128, 256, 320, 512) if room >= rank), rank)
