"""One engine over the photos of a job, in a process of its own: prints what it took, as JSON.

    python -m bench.real_engines WAY JOB

`load` counts the imports too. `first` is when the first token of any answer was there, `whole` when
all answers were; both without `load`. `peak` is the largest resident memory of the process with the
model (VmHWM), `held` its resident memory at the end, and `mapped` the part of that which is a
mapped file: a checkpoint that is read in place, which the system may drop and read again.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shenhe.engines.options import EngineOptions
    from shenhe.messages import Request

Job = dict[str, Any]
Result = dict[str, Any]
MISSION = "挡风板安装检查"


def read_memory(process: str | int = "self") -> dict[str, float]:
    """Read a process's largest and present resident memory. Units: MB."""
    names = {"VmHWM": "peak", "VmRSS": "held", "RssFile": "mapped"}
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    return {names[key]: int(value.split()[0]) * 1024 / 1e6 for key, value in pairs if key in names}


def requests_of(job: Job) -> list[Request]:
    """Ask for a Stage-A line of each photo, as `summarize` does."""
    from dataclasses import replace

    from shenhe.config import load_missions, load_prompts
    from shenhe.stages import summary

    template, mission = load_prompts().summary, load_missions().get(MISSION)
    asked = (
        summary.request(photo, Path(photo), mission, template, job["tokens"])
        for photo in job["photos"]
    )
    return [replace(request, streamed=True) for request in asked]


def ask(model: str, options: EngineOptions, job: Job) -> Result:
    """Answer the job by one of our engines, without its grammars: every engine writes as much."""
    from shenhe.engines.base import EngineSpec
    from shenhe.engines.create import create_engine
    from shenhe.messages import Answer, RequestFailed

    start = time.perf_counter()
    engine = create_engine(EngineSpec(model=model, engine=options, constrain=False))
    loaded = time.perf_counter()
    requests, answers, first = requests_of(job), {}, None
    for result in engine.serve(requests):
        first = first or time.perf_counter() - loaded
        if isinstance(result, RequestFailed):
            raise SystemExit(f"{result.key}: {result.message}")
        if isinstance(result, Answer):
            answers[result.key] = result
    whole = time.perf_counter() - loaded
    return {
        "load": loaded - start,
        "first": first,
        "whole": whole,
        "texts": [answers[request.key].text for request in requests],
        "tokens": sum(answer.new_tokens for answer in answers.values()),
        "prompt": sum(answer.prompt_tokens for answer in answers.values()),
        **read_memory(),
    }


def local(job: Job, *, dtype: str, quantize: str | None = None) -> Result:
    """shenhe's local engine."""
    from shenhe.engines.options import LocalOptions

    return ask(job["model"], LocalOptions(dtype=dtype, quantize=quantize), job)  # type: ignore[arg-type]


def openvino(job: Job) -> Result:
    """shenhe's OpenVINO engine, over what the recipe exported."""
    from shenhe.engines import options

    return ask(job["openvino"], getattr(options, "OpenvinoOptions")(), job)  # noqa: B009


def llama_cpp(job: Job) -> Result:
    """llama.cpp's server, both photos at once, by shenhe's server engine."""
    from shenhe.engines.options import ServerOptions
    from tests.servers import llama_cpp as server

    folder, slots = Path(job["gguf"]), len(job["photos"])
    arguments = ["--threads", str(job["threads"]), "--slots", str(slots)]
    arguments += ["--context", str(2048 * slots)]
    start = time.perf_counter()
    with ExitStack() as stack:
        served = stack.enter_context(server.llama_cpp(folder, *arguments))
        loaded = time.perf_counter()
        options = ServerOptions(base_url=served.url, processor=str(folder))
        result = ask(server.MODEL, options, job)
        memory = read_memory(served.process.pid)
    return result | {"load": loaded - start + result["load"]} | memory


def plain(job: Job, *, attention: str, batch: int) -> Result:
    """transformers alone, the photos in batches; photos as shenhe gives them to its own engine."""
    start = time.perf_counter()
    import torch

    from shenhe.checkpoints.load import load_checkpoint

    loaded_checkpoint = load_checkpoint(job["model"], dtype="bfloat16", attn_impl=attention)
    model: Any = loaded_checkpoint.model
    processor: Any = loaded_checkpoint.processor
    loaded = time.perf_counter()
    firsts: list[float] = []

    class Streamer:
        """Notes when tokens come; the prompt is the first that it is given."""

        def put(self, value: torch.Tensor) -> None:
            firsts.append(time.perf_counter() - loaded)

        def end(self) -> None:
            pass

    texts, tokens, prompt = [], 0, 0
    for at in range(0, len(job["photos"]), batch):
        inputs = _plain_inputs(processor, job["photos"][at : at + batch])
        with torch.inference_mode():
            output = model.generate(
                **inputs, max_new_tokens=job["tokens"], do_sample=False, streamer=Streamer()
            )
        rows = output[:, inputs["input_ids"].shape[1] :]
        texts += processor.tokenizer.batch_decode(rows, skip_special_tokens=True)
        tokens += rows.numel()
        prompt += inputs["input_ids"].numel()
    whole = time.perf_counter() - loaded
    return {
        "load": loaded - start,
        "first": firsts[1],
        "whole": whole,
        "texts": texts,
        "tokens": tokens,
        "prompt": prompt,
        **read_memory(),
    }


def _plain_inputs(processor: Any, photos: list[str]) -> Any:
    from PIL import Image

    from shenhe.engines.prompts import prompt_text

    requests = requests_of({"photos": photos, "tokens": 1})
    return processor(
        text=[prompt_text(request.messages, processor.tokenizer) for request in requests],
        images=[Image.open(photo).convert("RGB") for photo in photos],
        padding=True,
        do_resize=False,
        return_tensors="pt",
    )


WAYS: dict[str, Callable[[Job], Result]] = {
    "bfloat16": lambda job: local(job, dtype="bfloat16"),
    "int8": lambda job: local(job, dtype="bfloat16", quantize="int8"),
    "transformers": lambda job: plain(job, attention="sdpa", batch=len(job["photos"])),
    "transformers-eager": lambda job: plain(job, attention="eager", batch=len(job["photos"])),
    "transformers-single": lambda job: plain(job, attention="sdpa", batch=1),
    "openvino": openvino,
    "llama.cpp": llama_cpp,
}


def main() -> None:
    """Run the way of the command line over its job."""
    way, path = sys.argv[1:]
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    print(json.dumps(WAYS[way](job), ensure_ascii=False))


if __name__ == "__main__":
    main()
