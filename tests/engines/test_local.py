"""The local engine on the bundled checkpoint: real classes, real photos."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText

import shenhe
from shenhe import photos
from shenhe.checkpoints import find_checkpoint
from shenhe.checkpoints.load import load_checkpoint
from shenhe.config import load_missions, load_prompts
from shenhe.engines.base import EngineSpec
from shenhe.engines.local import scheduler, token_choice
from shenhe.engines.local.engine import LocalEngine
from shenhe.engines.local.kv_cache import KVCache
from shenhe.engines.local.model_runner import ModelRunner, Scores
from shenhe.engines.local.sequence import Sequence
from shenhe.engines.options import LocalOptions
from shenhe.engines.prompts import as_template_message
from shenhe.errors import EngineError, UsageError
from shenhe.messages import Answer, Request, RequestFailed
from shenhe.stages import caption, summary, verdict
from shenhe.values import FAIL, PASS

MISSION = load_missions().get("挡风板安装检查")
PROMPTS = load_prompts()
LINES = ["BBU设备/华为/显示完整/无需安装×1", "无关图片", "BBU设备/中兴/显示完整/无需安装×1"]


def _requests(paths: list[Path]) -> list[Request]:
    lines = [
        summary.request(str(i), photo, MISSION, PROMPTS.summary, 96)
        for i, photo in enumerate(paths)
    ]
    verdicts = [
        verdict.request(
            f"v{n}", {f"图片_{i + 1}": LINES[i] for i in range(n)}, MISSION, PROMPTS.verdict
        )
        for n in (1, 2, 3)
    ]
    return lines + verdicts


def _by_key(engine: LocalEngine, requests: list[Request]) -> dict[str, Answer]:
    answers = list(engine.answer(requests))
    assert all(isinstance(answer, Answer) for answer in answers)
    return {answer.key: answer for answer in answers if isinstance(answer, Answer)}


def test_batched_answers_equal_single_ones(engine: LocalEngine, demo_photos: list[Path]) -> None:
    """Prompts with photos of different sizes, and without any, share forward passes."""
    requests = _requests(demo_photos[:9])
    batched = _by_key(engine, requests[::2] + requests[1::2])
    for request in requests:
        (single,) = engine.answer([request])
        assert isinstance(single, Answer)
        assert single.text == batched[request.key].text
        assert single.sizes == batched[request.key].sizes
        for choice, logprob in single.choice_logprobs.items():
            assert logprob == pytest.approx(batched[request.key].choice_logprobs[choice], abs=1e-3)


def test_the_same_text_as_plain_transformers(engine: LocalEngine, demo_photos: list[Path]) -> None:
    """Only the resize stands between the photo and the model."""
    base = LocalEngine(EngineSpec(model="demo", engine=LocalOptions(dtype="float32")))
    request = _requests(demo_photos[:1])[0]
    (answer,) = base.answer([request])
    model = AutoModelForImageTextToText.from_pretrained(
        find_checkpoint("demo").folder, dtype=torch.float32
    )
    loaded = load_checkpoint("demo")
    photo = photos.load(demo_photos[0], loaded.budget)
    messages = [as_template_message(message) for message in request.messages]
    text = loaded.processor.tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True
    )
    inputs = loaded.processor(
        text=[text], images=[photo.image], do_resize=False, return_tensors="pt"
    )
    prepared = base.prepare(request)
    assert prepared.token_ids == inputs["input_ids"][0].tolist()
    assert torch.equal(prepared.pixels, inputs["pixel_values"])
    output = model.generate(**inputs, max_new_tokens=96, do_sample=False)
    text = loaded.processor.tokenizer.decode(output[0, inputs["input_ids"].shape[1] :])
    assert isinstance(answer, Answer)
    assert text.removesuffix("<|im_end|>") == answer.text


def test_sizes_and_counts(engine: LocalEngine, demo_photos: list[Path]) -> None:
    (answer,) = engine.answer(_requests(demo_photos[:1])[:1])
    assert isinstance(answer, Answer)
    assert answer.finish_reason == "stop"
    assert answer.sizes[0].original_wh == (640, 512)
    assert answer.sizes[0].resized_wh == (320, 256)
    assert answer.new_tokens > 3
    assert "<|" not in answer.text


def test_the_token_limit_is_a_finish_reason(engine: LocalEngine, demo_photos: list[Path]) -> None:
    short = summary.request("a", demo_photos[0], MISSION, PROMPTS.summary, 3)
    long = summary.request("b", demo_photos[0], MISSION, PROMPTS.summary, 96)
    answers = _by_key(engine, [short, long])
    assert answers["a"].finish_reason == "length"
    assert answers["a"].new_tokens == 3
    assert answers["b"].finish_reason == "stop"
    assert answers["b"].text.startswith(answers["a"].text)


def test_the_probability_of_the_verdict(engine: LocalEngine) -> None:
    answers = _by_key(engine, _requests([]))
    for answer in answers.values():
        first = answer.text.split("\n")[0]
        assert set(answer.choice_logprobs) == {PASS, FAIL}
        assert max(answer.choice_logprobs, key=answer.choice_logprobs.__getitem__) == first


def test_a_bad_photo_fails_alone(
    engine: LocalEngine, demo_photos: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"nothing")
    paths = [demo_photos[0], tmp_path / "bad.jpg", demo_photos[1], tmp_path / "absent.jpg"]
    results = {result.key: result for result in engine.answer(_requests(paths)[:4])}
    assert isinstance(results["0"], Answer)
    assert isinstance(results["2"], Answer)
    bad, absent = results["1"], results["3"]
    assert isinstance(bad, RequestFailed)
    assert bad.code == "not_a_photo"
    assert isinstance(absent, RequestFailed)
    assert absent.code == "missing"


def test_streamed_pieces_join_to_the_answer(engine: LocalEngine, demo_photos: list[Path]) -> None:
    request = _requests(demo_photos[:1])[0]
    (answer,) = engine.answer([request])
    pieces = list(engine.stream(request))
    assert isinstance(answer, Answer)
    assert "".join(pieces) == answer.text
    assert len(pieces) > 1


def test_sampling_is_the_requests_own(demo_photos: list[Path]) -> None:
    """A seed gives the same text in any batch, and another seed another text."""
    spec = EngineSpec(
        model="demo", temperature=1.5, top_p=0.98, seed=7, engine=LocalOptions(dtype="float32")
    )
    requests = _requests(demo_photos[:6])
    engine = LocalEngine(spec)
    together = _by_key(engine, requests)
    alone = {r.key: next(iter(engine.answer([r]))) for r in reversed(requests)}
    assert {key: answer.text for key, answer in together.items()} == {
        key: answer.text for key, answer in alone.items() if isinstance(answer, Answer)
    }
    engine.spec = EngineSpec(
        model="demo", temperature=1.5, top_p=0.98, seed=8, engine=LocalOptions(dtype="float32")
    )
    reseeded = _by_key(engine, requests)
    assert any(reseeded[key].text != together[key].text for key in together)


def test_max_pixels(demo_photos: list[Path]) -> None:
    engine = LocalEngine(
        EngineSpec(model="demo", max_pixels=160 * 128, engine=LocalOptions(dtype="float32"))
    )
    (answer,) = engine.answer(_requests(demo_photos[:1])[:1])
    assert isinstance(answer, Answer)
    assert answer.sizes[0].resized_wh == (160, 128)
    with pytest.raises(UsageError, match="below the least"):
        LocalEngine(EngineSpec(model="demo", max_pixels=2048, engine=LocalOptions()))


def test_memory_that_runs_out_halves_the_batch(
    engine: LocalEngine, demo_photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No GPU needed: only the exception is injected, its handling is real."""
    forward = ModelRunner.forward
    widths: list[int] = []

    def scarce(runner: ModelRunner, active: list[Sequence], store: KVCache) -> torch.Tensor:
        widths.append(len(active))
        # Two fit while they are short, as when memory runs out in the middle.
        if len(active) > 2 or (len(active) == 2 and active[0].output[3:]):
            raise torch.OutOfMemoryError("out of memory")
        return forward(runner, active, store)

    requests = _requests(demo_photos[:4])[:4]
    plenty = _by_key(engine, requests)
    monkeypatch.setattr(ModelRunner, "forward", scarce)
    monkeypatch.setattr(engine, "_slots", 4)
    with pytest.warns(UserWarning, match="the batch size is now"):
        answers = _by_key(engine, requests)
    assert widths[:2] == [4, 2]
    assert set(widths[-8:]) == {1}
    assert answers == plenty

    def never(runner: ModelRunner, active: list[Sequence], store: KVCache) -> torch.Tensor:
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(ModelRunner, "forward", never)
    (failed,) = engine.answer(requests[:1])
    assert isinstance(failed, RequestFailed)
    assert failed.code == "out_of_memory"


def test_memory_that_runs_out_while_a_token_is_chosen_halves_the_batch_too(
    engine: LocalEngine, demo_photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It concerns the batch, not the sequence whose token was being chosen."""
    choose, calls = token_choice.choose_token, 0

    def scarce(sequence: Sequence, scores: Scores) -> int:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise torch.OutOfMemoryError("out of memory")
        return choose(sequence, scores)

    requests = _requests(demo_photos[:4])[:4]
    plenty = _by_key(engine, requests)
    monkeypatch.setattr(scheduler, "choose_token", scarce)
    monkeypatch.setattr(engine, "_slots", 4)
    with pytest.warns(UserWarning, match="the batch size is now"):
        assert _by_key(engine, requests) == plenty


@pytest.mark.parametrize(
    ("options", "flag"),
    [
        ({"temperature": -1.0}, "--temperature"),
        ({"top_p": 0.0}, "--top-p"),
        ({"batch_size": 0}, "--batch-size"),
        ({"max_pixels": 10}, "--max-pixels"),
    ],
)
def test_options_no_engine_can_honour(options: dict[str, float], flag: str) -> None:
    with pytest.raises(UsageError, match=flag):
        EngineSpec(model="demo", engine=LocalOptions(), **options)  # type: ignore[arg-type]


def test_a_chat_template_that_fails_is_an_engine_error(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine._tokenizer, "chat_template", "{{ raise_exception('no system') }}")
    engine._preprocessor._prompt.cache_clear()
    with pytest.raises(EngineError, match="no system"):
        list(engine.answer(_requests([])))


def test_unknown_engine() -> None:
    with pytest.raises(UsageError, match="--engine abacus"):
        shenhe.load("demo", engine="abacus")  # type: ignore[arg-type]


def test_a_photo_larger_than_the_screen(engine: LocalEngine, tmp_path: Path) -> None:
    """A 12-megapixel photo is brought to the budget; nothing warns."""
    Image.new("RGB", (4000, 3000), (90, 90, 90)).save(tmp_path / "big.jpg")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (answer,) = engine.answer(_requests([tmp_path / "big.jpg"])[:1])
    assert isinstance(answer, Answer)
    assert answer.sizes[0].original_wh == (4000, 3000)
    assert answer.sizes[0].resized_wh == (320, 224)


def test_int8_takes_less_memory_and_says_nearly_the_same(
    engine: LocalEngine, demo_photos: list[Path]
) -> None:
    spec = EngineSpec(
        model="demo",
        adapters=("demo",),
        batch_size=4,
        engine=LocalOptions(dtype="float32", quantize="int8"),
    )
    rounded = LocalEngine(spec)
    assert rounded.weight_bytes < engine.weight_bytes / 2
    template = load_prompts().caption
    requests = [caption.request(str(p), [p], template, 400) for p in demo_photos[:8]]
    exact = {a.key: a.text for a in engine.answer(requests) if isinstance(a, Answer)}
    equal = [
        a for a in rounded.answer(requests) if isinstance(a, Answer) and a.text == exact[a.key]
    ]
    assert len(equal) >= 5
    with pytest.raises(UsageError, match="--quantize int3: use int8"):
        EngineSpec(model="demo", engine=LocalOptions(quantize="int3"))  # type: ignore[arg-type]
