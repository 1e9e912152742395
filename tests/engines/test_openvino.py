"""The OpenVINO engine beside the local one: the same prompts, pixels, scores and answers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
import torch
from openvino import opset13

from shenhe.checkpoints.inspect import DEMO_FOLDER
from shenhe.config import load_missions, load_prompts
from shenhe.engines.base import EngineSpec
from shenhe.engines.choice import choose_engine
from shenhe.engines.local.engine import LocalEngine
from shenhe.engines.local.sampler import Sampler
from shenhe.engines.openvino.drawing import Drawing
from shenhe.engines.openvino.engine import OpenvinoEngine
from shenhe.engines.openvino.exported import PATCHES, find_exported, read_exported
from shenhe.engines.openvino.patch_product import multiplied
from shenhe.engines.openvino.runtime import Runtime
from shenhe.engines.openvino.tokenizer import ExportedTokenizer
from shenhe.engines.options import (
    ClusterOptions,
    LocalOptions,
    OpenvinoOptions,
    ServerOptions,
    VllmOptions,
)
from shenhe.engines.prompts import as_template_message
from shenhe.errors import CheckpointError, OptionError
from shenhe.messages import Answer, FreeGrammar, ImagePart, Message, Request, Sampling
from shenhe.stages import caption, summary, verdict
from tests.conftest import DEMO

MISSION = load_missions().get("挡风板安装检查")
PROMPTS = load_prompts()
PHOTOS = sorted((DEMO / "photos").rglob("img-*.*"))[::15]
LINES = {"图片_1": "BBU设备/华为/显示完整/无需安装×1", "图片_2": "无关图片"}
EXPORT = DEMO_FOLDER / "openvino"
ROUNDING = 1e-2
"""Log-probabilities differ by this much at most: the export's weights are float16."""


@pytest.fixture(scope="module")
def exported() -> OpenvinoEngine:
    return OpenvinoEngine(EngineSpec(model="demo", batch_size=4, engine=OpenvinoOptions()))


def _lines(**changes: Any) -> list[Request]:
    return [
        replace(summary.request(f"k{n}", photo, MISSION, PROMPTS.summary, 64), **changes)
        for n, photo in enumerate(PHOTOS)
    ]


def _verdict(**changes: Any) -> Request:
    return replace(verdict.request("v", LINES, MISSION, PROMPTS.verdict), **changes)


def _answers(engine: LocalEngine | OpenvinoEngine, requests: list[Request]) -> dict[str, Answer]:
    results = {result.key: result for result in engine.answer(requests)}
    assert results.keys() == {request.key for request in requests}
    answers = {key: result for key, result in results.items() if isinstance(result, Answer)}
    assert answers.keys() == results.keys(), results
    return answers


def _told(answer: Answer) -> tuple[object, ...]:
    return answer.text, answer.finish_reason, answer.prompt_tokens, answer.new_tokens, answer.sizes


def test_prompts_and_pixels_are_those_of_transformers(
    engine: LocalEngine, exported: OpenvinoEngine
) -> None:
    two = caption.request("c", PHOTOS[:2], PROMPTS.caption, 64)
    for request in [*_lines(), _verdict(), two]:
        expected = engine._preprocessor.prepare(request)
        prepared = exported._preparer.prepare(request)
        assert prepared.token_ids.tolist() == expected.token_ids.tolist()
        assert prepared.positions.tolist() == expected.positions.tolist()
        assert prepared.behind == len(expected.token_ids) + expected.position_offset
        pixels = [exported._tower._patches.floats(photo.patches) for photo in prepared.photos]
        whole = np.concatenate(pixels) if pixels else np.zeros(0)
        np.testing.assert_allclose(whole, engine.prepare(request).pixels.numpy(), atol=1e-6)


def test_lines_verdicts_and_captions_are_the_local_engines(
    engine: LocalEngine, exported: OpenvinoEngine
) -> None:
    captions = [
        caption.request(f"c{n}", [p], PROMPTS.caption, 256) for n, p in enumerate(PHOTOS[:2])
    ]
    requests = [*_lines(), *captions, _verdict(), _verdict(key="w", temperature=0.0)]
    expected, answers = _answers(engine, requests), _answers(exported, requests)
    assert {k: _told(a) for k, a in answers.items()} == {k: _told(a) for k, a in expected.items()}
    for choice, logprob in answers["v"].choice_logprobs.items():
        assert logprob == pytest.approx(expected["v"].choice_logprobs[choice], abs=ROUNDING)
    assert len(answers["v"].choice_logprobs) == 2


def test_a_seed_means_the_same(engine: LocalEngine, exported: OpenvinoEngine) -> None:
    sampled = [
        *_lines(temperature=1.5),
        *(replace(line, key=f"{line.key}a", attempt=2) for line in _lines()),
        _verdict(sampling=Sampling(2.0, top_p=0.9, top_k=50, min_p=0.01, seed=2**40 + 7)),
        _verdict(key="w", sampling=Sampling(repetition_penalty=1.5)),
    ]
    expected, answers = _answers(engine, sampled), _answers(exported, sampled)
    assert {k: a.text for k, a in answers.items()} == {k: a.text for k, a in expected.items()}
    assert answers["k0"].text != _answers(exported, _lines())["k0"].text


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(0.7, seed=0),
        Sampling(1.0, top_p=0.8, seed=2**62 + 1),
        Sampling(3.0, top_k=9, min_p=0.05, seed=5),
    ],
)
def test_draws_are_those_of_torch(sampling: Sampling) -> None:
    spec = EngineSpec(model="m", engine=LocalOptions())
    request = Request("a", (), 8, sampling=sampling)
    torchs, own = Sampler(request, spec), Drawing(request, spec, np.zeros(0, np.int64))
    for seed in range(3):
        scores = torch.randn(4000, generator=torch.Generator().manual_seed(seed)) * 4
        noisy = own.add_noise(scores.numpy())
        np.testing.assert_allclose(noisy, torchs.add_noise(scores).numpy(), atol=1e-4)


def test_the_penalty_is_that_of_the_local_engine(
    engine: LocalEngine, exported: OpenvinoEngine
) -> None:
    asked = [replace(line, sampling=Sampling(repetition_penalty=2.0)) for line in _lines()]
    expected, answers = _answers(engine, asked), _answers(exported, asked)
    assert {k: a.text for k, a in answers.items()} == {k: a.text for k, a in expected.items()}


def test_token_logprobs(engine: LocalEngine, exported: OpenvinoEngine) -> None:
    requests = [_lines(top_logprobs=3)[0], _verdict(top_logprobs=0)]
    expected, answers = _answers(engine, requests), _answers(exported, requests)
    for key, answer in answers.items():
        for own, local in zip(answer.token_logprobs, expected[key].token_logprobs, strict=True):
            assert own.text == local.text
            assert own.logprob == pytest.approx(local.logprob, abs=ROUNDING)
            assert [t.text for t in own.top] == [t.text for t in local.top]
    assert len(answers["k0"].token_logprobs[0].top) >= 2


@pytest.mark.parametrize(
    ("language", "source"),
    [
        ("regex", "(通过|不通过)!{3}"),
        ("json_schema", json.dumps({"type": "object", "properties": {"a": {"type": "integer"}}})),
        ("lark", 'start: "A" /[0-9]{2}/'),
    ],
)
def test_formats_of_clients_are_held(
    language: str, source: str, engine: LocalEngine, exported: OpenvinoEngine
) -> None:
    grammar = FreeGrammar(language, source)  # type: ignore[arg-type]
    request = _verdict(grammar=grammar, choices=(), max_new_tokens=24)
    assert _told(_answers(exported, [request])["v"]) == _told(_answers(engine, [request])["v"])


def test_an_answer_ends_at_a_stop_or_at_its_limit(exported: OpenvinoEngine) -> None:
    whole = _answers(exported, [_verdict()])["v"]
    stopped = _answers(exported, [_verdict(stop=("理由",))])["v"]
    assert stopped.text == whole.text.partition("理由")[0]
    assert stopped.finish_reason == "stop"
    cut = _answers(exported, [_verdict(max_new_tokens=2, grammar=None)])["v"]
    assert (cut.finish_reason, cut.new_tokens) == ("length", 2)


def test_many_at_once_answer_as_each_alone(exported: OpenvinoEngine) -> None:
    """More than the first blocks of memory hold, so that they are moved while in use."""
    engine = OpenvinoEngine(EngineSpec(model="demo", batch_size=32, engine=OpenvinoOptions()))
    requests = [
        _verdict(key=f"{n}", sampling=Sampling(1.0, seed=n), max_new_tokens=40) for n in range(30)
    ]
    blocks = engine._model.blocks
    before = blocks.count
    together = {key: answer.text for key, answer in _answers(engine, requests).items()}
    assert blocks.count > before
    assert blocks.used == 0
    engine.forget()
    assert sorted(blocks._free) == list(range(blocks.count))
    alone = {
        request.key: _answers(exported, [request])[request.key].text for request in requests[::7]
    }
    assert alone == {key: together[key] for key in alone}


def test_patches_are_multiplied_as_they_were_convolved() -> None:
    model = read_exported("demo").model(PATCHES)
    runtime = Runtime("float32", None, 48)
    as_exported = runtime.read(model)
    products = multiplied(runtime.read(model))
    kinds = {node.get_type_name() for node in products.get_ordered_ops()}
    assert "Convolution" in {node.get_type_name() for node in as_exported.get_ordered_ops()}
    assert "Convolution" not in kinds
    assert "MatMul" in kinds
    width = 3 * 2 * 16 * 16
    rows = np.random.default_rng(0).uniform(-1, 1, (36, width)).astype(np.float32)
    (expected,) = runtime.compile(as_exported)({"hidden_states": rows})
    (computed,) = runtime.compile(products)({"hidden_states": rows})
    np.testing.assert_allclose(computed, expected, atol=1e-5)


def test_a_convolution_that_moves_is_left() -> None:
    pixels = opset13.parameter([-1, 3, 4, 4], openvino.Type.f32, name="pixels")
    kernel = opset13.constant(np.ones((5, 3, 2, 2), np.float32))
    convolved = opset13.convolution(pixels, kernel, [2, 2], [0, 0], [0, 0], [1, 1])
    model = multiplied(openvino.Model([convolved], [pixels], "moves"))
    assert "Convolution" in {node.get_type_name() for node in model.get_ordered_ops()}


def test_it_needs_neither_torch_nor_transformers() -> None:
    code = (
        "import sys\n"
        "from shenhe.engines.base import EngineSpec\n"
        "from shenhe.engines.create import create_engine\n"
        "from shenhe.engines.options import OpenvinoOptions\n"
        "from shenhe.messages import Message, Request\n"
        "engine = create_engine(EngineSpec(model='demo', engine=OpenvinoOptions()))\n"
        "(answer,) = engine.answer([Request('a', (Message('user', ('你好',)),), 4)])\n"
        "assert answer.new_tokens, answer\n"
        "print({'torch', 'transformers'} & sys.modules.keys())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "set()", done.stderr


def test_templates_are_rendered_as_by_transformers(engine: LocalEngine) -> None:
    own = ExportedTokenizer(EXPORT)
    messages = [
        as_template_message(message)
        for message in (Message("system", ("你是质检员",)), *_lines()[0].messages)
    ]
    expected = engine._tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True
    )
    assert own.apply_chat_template(messages, tokenize=False, add_generation_prompt=True) == expected
    assert own.eos_token_id == engine._tokenizer.eos_token_id
    for token in range(0, 1122, 13):
        assert own.decode([token]) == engine._tokenizer.decode([token])
        assert own.convert_ids_to_tokens(token) == engine._tokenizer.convert_ids_to_tokens(token)


def test_adapters_are_merged_before() -> None:
    spec = EngineSpec(model="demo", adapters=("demo",), engine=OpenvinoOptions())
    with pytest.raises(OptionError, match="merged before"):
        OpenvinoEngine(spec)


def test_a_dtype_that_this_export_cannot_have_is_refused() -> None:
    """Attention in bfloat16 over heads of 48 values would end the process."""
    spec = EngineSpec(model="demo", engine=OpenvinoOptions(dtype="bfloat16"))
    with pytest.raises(OptionError, match="float32"):
        OpenvinoEngine(spec)


def test_a_damaged_export_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such folder"):
        find_exported(str(tmp_path / "absent"))
    with pytest.raises(CheckpointError, match=r"openvino_language_model\.xml is missing"):
        find_exported(str(DEMO_FOLDER / "base"))
    folder = Path(shutil.copytree(EXPORT, tmp_path / "export"))
    for name, content in (
        ("tokenizer.json", "{"),
        ("openvino_language_model.xml", "<net/>"),
        ("config.json", '{"model_type": "qwen3_vl"}'),
    ):
        whole = (folder / name).read_bytes()
        (folder / name).write_text(content)
        with pytest.raises(Exception, match=str(folder)) as raised:
            OpenvinoEngine(EngineSpec(model=str(folder), engine=OpenvinoOptions()))
        assert type(raised.value).__module__ == "shenhe.errors"
        (folder / name).write_bytes(whole)


def test_options_of_other_engines_are_refused() -> None:
    def choose(local: LocalOptions, server: ServerOptions, devices: tuple[str, ...] = ()) -> object:
        return choose_engine(
            "openvino", "local", local, server, VllmOptions(), ClusterOptions(), devices
        )

    assert choose(LocalOptions(dtype="float32"), ServerOptions()) == OpenvinoOptions(
        dtype="float32"
    )
    for local, server, devices in (
        (LocalOptions(quantize="int8"), ServerOptions(), ()),
        (LocalOptions(device="cuda"), ServerOptions(), ()),
        (LocalOptions(), ServerOptions(base_url="http://127.0.0.1"), ()),
        (LocalOptions(), ServerOptions(), ("cpu,cpu",)),
    ):
        with pytest.raises(OptionError):
            choose(local, server, devices)


def test_photos_and_beginnings_of_prompts_are_computed_once(engine: LocalEngine) -> None:
    """Another question about a photo, the same question again, and one that begins alike."""
    exported = OpenvinoEngine(EngineSpec(model="demo", batch_size=2, engine=OpenvinoOptions()))
    (line, *_) = _lines()
    text, photo = "这张照片里有什么？" * 12, ImagePart(PHOTOS[0])
    first, second = (
        replace(line, key=key, grammar=None, messages=(Message("user", (text, photo, question)),))
        for key, question in (("a", "只写一行。"), ("b", "有螺丝吗？" * 9))
    )
    changed = replace(line, key="c", messages=(Message("user", (photo, "有螺丝吗？")),))
    asked = [first, second, replace(first, key="d"), changed]
    expected = _answers(engine, asked)
    for request in asked:
        (answer,) = exported.answer([request])
        assert isinstance(answer, Answer)
        assert _told(answer) == _told(expected[request.key])
    reuse = exported.reuse
    assert reuse.photos - reuse.reused_photos == 1
    assert 0 < reuse.reused_tokens < reuse.prompt_tokens
    none = OpenvinoEngine(EngineSpec(model="demo", engine=OpenvinoOptions(reuse_memory=0)))
    assert {k: _told(a) for k, a in _answers(none, asked).items()} == {
        key: _told(answer) for key, answer in expected.items()
    }
    assert none.reuse.reused_tokens == 0
