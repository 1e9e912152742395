"""The repetition penalty: transformers' rule, whatever else the engine does to be quick."""

from __future__ import annotations

import json
import math
import urllib.request
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import RepetitionPenaltyLogitsProcessor

from shenhe.checkpoints.load import load_checkpoint
from shenhe.cli.command_line import parse
from shenhe.cli.judge import JudgeOptions
from shenhe.cli.loading import decisive_options
from shenhe.config import load_missions, load_prompts
from shenhe.engines.base import EngineSpec
from shenhe.engines.local.engine import LocalEngine
from shenhe.engines.local.repetition import RepetitionPenalty
from shenhe.engines.options import LocalOptions, ServerOptions
from shenhe.engines.prompts import prompt_text
from shenhe.engines.server import ServerEngine
from shenhe.errors import OptionError
from shenhe.messages import Answer, Request
from shenhe.photos import load as open_photo
from shenhe.stages import summary, verdict
from tests.servers.starting import scripted

MISSION = load_missions().get("挡风板安装检查")
PROMPTS = load_prompts()
LINES = {"图片_1": "BBU设备/华为/显示完整/无需安装×1", "图片_2": "无关图片"}
PENALTY = 2.0


def _requests(photos: list[Path]) -> list[Request]:
    lines = [
        summary.request(str(n), photo, MISSION, PROMPTS.summary, 48)
        for n, photo in enumerate(photos)
    ]
    return [*lines, verdict.request("v", LINES, MISSION, PROMPTS.verdict)]


@pytest.fixture(scope="module")
def penalized() -> LocalEngine:
    options = LocalOptions(dtype="float32", speculate=True)
    spec = EngineSpec(
        model="demo",
        adapters=("demo",),
        batch_size=4,
        repetition_penalty=PENALTY,
        engine=options,
    )
    return LocalEngine(spec)


def _texts(engine: LocalEngine, requests: list[Request]) -> dict[str, str]:
    answers = list(engine.answer(requests))
    assert all(isinstance(answer, Answer) for answer in answers), answers
    return {answer.key: answer.text for answer in answers if isinstance(answer, Answer)}


@pytest.mark.parametrize("penalty", [1.3, 0.8, 50.0])
def test_the_rule_is_that_of_transformers(penalty: float) -> None:
    torch.manual_seed(5)
    prompt, output = torch.tensor([3, 3, 9]), [7, 3, 1]
    rule = RepetitionPenalty(penalty, prompt, 12)
    processor = RepetitionPenaltyLogitsProcessor(penalty)
    for count in range(len(output) + 1):  # as the answer grows
        scores = torch.randn(12)
        ids = torch.tensor([[*prompt.tolist(), *output[:count]]])
        expected = processor(ids, scores[None].clone())[0]
        assert torch.equal(rule.apply(scores, None, output[:count]), expected)
        narrow = [9, 0, 7]
        assert torch.equal(rule.apply(scores[narrow], narrow, output[:count]), expected[narrow])


def test_free_text_is_that_of_generate(
    penalized: LocalEngine, engine: LocalEngine, demo_photos: list[Path]
) -> None:
    loaded = load_checkpoint("demo", ["demo"], dtype="float32")
    generate = getattr(loaded.model, "generate")  # noqa: B009 - transformers adds it
    photo = open_photo(demo_photos[0], loaded.budget).image
    for request in _requests(demo_photos[:1]):
        (answer,) = penalized.answer([replace(request, grammar=None)])
        inputs = loaded.processor(
            text=[prompt_text(request.messages, loaded.processor.tokenizer)],
            **({"images": [photo]} if request.key == "0" else {}),
            do_resize=False,
            return_tensors="pt",
        )
        length = inputs["input_ids"].shape[1]
        output = generate(
            **inputs,
            max_new_tokens=request.max_new_tokens,
            do_sample=False,
            repetition_penalty=PENALTY,
        )
        expected = loaded.processor.tokenizer.decode(output[0, length:])
        assert isinstance(answer, Answer)
        assert answer.text == expected.removesuffix("<|im_end|>")
        if request.key == "0":
            assert _texts(engine, [request]) != {"0": answer.text}


def test_batches_drafts_and_prefixes_change_nothing(
    penalized: LocalEngine, demo_photos: list[Path]
) -> None:
    """Answers held to their format, one at a time without drafts, against the whole batch twice."""
    requests = _requests(demo_photos[:2])
    plain = LocalEngine(replace(penalized.spec, batch_size=1, engine=LocalOptions(dtype="float32")))
    singly: dict[str, str] = {}
    for request in requests:
        singly |= _texts(plain, [request])
    assert _texts(penalized, requests) == singly
    assert _texts(penalized, requests[::-1]) == singly
    assert all(singly.values())


def test_a_verdict_is_as_sure_as_without(penalized: LocalEngine, engine: LocalEngine) -> None:
    (request,) = _requests([])
    (penalized_answer,), (answer,) = penalized.answer([request]), engine.answer([request])
    assert isinstance(penalized_answer, Answer)
    assert isinstance(answer, Answer)
    assert penalized_answer.choice_logprobs == pytest.approx(answer.choice_logprobs, abs=1e-4)


@pytest.mark.parametrize("penalty", [0.0, -1.2, math.nan, math.inf])
def test_what_is_no_penalty_is_refused(penalty: float) -> None:
    with pytest.raises(OptionError, match=r"^--repetition-penalty .*: must be above 0"):
        EngineSpec(model="demo", repetition_penalty=penalty, engine=LocalOptions())


def test_it_decides_rows_where_there_is_one() -> None:
    """By ms-swift's spelling too; rows of a version without the option go on."""
    words = ["judge", "--model", "m", "--stage-a", "a", "--output-dir", "o"]
    for added, expected in (
        ([], None),
        (["--repetition_penalty", "1.0"], None),
        (["--repetition_penalty", "1.05"], 1.05),
    ):
        options = parse([*words, *added]).options
        assert isinstance(options, JudgeOptions)
        assert decisive_options(options.load).get("repetition_penalty") == expected


@pytest.mark.parametrize(
    ("owner", "fields", "sure"),
    [
        ("vllm", {"repetition_penalty": PENALTY}, True),
        ("sglang", {"repetition_penalty": PENALTY}, False),
        ("llamacpp", {"repeat_penalty": PENALTY, "repeat_last_n": 65_536}, True),
    ],
)
def test_a_server_is_asked_in_its_own_words(
    owner: str, fields: dict[str, float], sure: bool
) -> None:
    with scripted("--form", "structured_outputs", "--owner", owner) as served:
        spec = EngineSpec(
            model="scripted",
            repetition_penalty=PENALTY,
            engine=ServerOptions(base_url=served.url),
        )
        with closing(ServerEngine(spec)) as server:
            (answer,) = server.answer(_requests([]))
        with urllib.request.urlopen(f"{served.url.removesuffix('/v1')}/last") as reply:
            sent = json.load(reply)
    assert fields.items() <= sent.items()
    assert isinstance(answer, Answer)
    # Behind a penalty log-probabilities are not the model's.
    assert bool(answer.choice_logprobs) is sure


def test_a_server_that_may_not_know_it_is_refused() -> None:
    with scripted() as served:
        options = ServerOptions(base_url=served.url)
        spec = EngineSpec(model="scripted", repetition_penalty=PENALTY, engine=options)
        with pytest.raises(OptionError, match=r"^--repetition-penalty 2\.0: this server is not"):
            ServerEngine(spec)
