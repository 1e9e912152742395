"""Constrained answers: never malformed, and equal to free ones that are well-formed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from shenhe.config import load_formats, load_missions, load_prompts
from shenhe.engines.base import EngineSpec
from shenhe.engines.local.engine import LocalEngine
from shenhe.engines.local.ngram_drafts import NgramDrafts
from shenhe.engines.options import LocalOptions
from shenhe.errors import FormatError
from shenhe.formats import caption as caption_format
from shenhe.formats import grammars, summary, verdict
from shenhe.formats.caption_recovery import recover
from shenhe.messages import Answer, Request
from shenhe.stages import caption as caption_stage
from shenhe.stages import summary as summary_stage
from shenhe.stages import verdict as verdict_stage

MISSION = load_missions().get("挡风板安装检查")
PROMPTS = load_prompts()


@pytest.fixture(scope="module")
def free() -> LocalEngine:
    spec = EngineSpec(
        model="demo", adapters=("demo",), constrain=False, engine=LocalOptions(dtype="float32")
    )
    return LocalEngine(spec)


@pytest.fixture(scope="module")
def wild() -> LocalEngine:
    """The bundled model with random weights, which knows no format."""
    engine = LocalEngine(EngineSpec(model="demo", engine=LocalOptions(dtype="float32")))
    torch.manual_seed(7)
    with torch.no_grad():
        for weight in engine._model.parameters():
            weight.copy_(torch.randn_like(weight) * weight.std().nan_to_num(0.1))
    return engine


def _captions(photos: list[Path], limit: int = 400) -> list[Request]:
    return [caption_stage.request(str(p), [p], PROMPTS.caption, limit) for p in photos]


def _texts(engine: LocalEngine, requests: list[Request]) -> dict[str, Answer]:
    return {a.key: a for a in engine.answer(requests) if isinstance(a, Answer)}


@pytest.mark.peers
def test_the_same_text_in_fewer_passes(free: LocalEngine, demo_photos: list[Path]) -> None:
    spec = replace(free.spec, constrain=True)
    constrained, requests = LocalEngine(spec), _captions(demo_photos[:16])
    before = free.forward_passes
    answers, expected = _texts(constrained, requests), _texts(free, requests)
    assert {k: a.text for k, a in answers.items()} == {k: a.text for k, a in expected.items()}
    assert (free.forward_passes - before) / constrained.forward_passes > 1.5
    single = LocalEngine(replace(constrained.spec, batch_size=1))
    tokens = sum(answer.new_tokens for answer in _texts(single, requests).values())
    assert tokens / single.forward_passes > 1.8


def test_narrow_tokens_are_all_allowed_tokens(free: LocalEngine, demo_photos: list[Path]) -> None:
    (request,) = _captions(demo_photos[:1])
    (text,) = (answer.text for answer in _texts(free, [request]).values())
    assert request.grammar is not None
    constraint = free._grammars.constraint(request.grammar)
    tokens = free._tokenizer(text, add_special_tokens=False)["input_ids"]
    narrow, taken = 0, len(constraint.forced_tokens())
    while taken < len(tokens):
        allowed = constraint.narrow_tokens()
        if allowed is not None:
            narrow += 1
            sound = [token for token in allowed if constraint.leaves_shape_sound(token)]
            assert sound == (~constraint.refused_mask()).nonzero()[0].tolist()
            assert tokens[taken] in sound
            assert all(map(constraint.allows, sound))
        taken += 1 + len(constraint.advance(tokens[taken]))
    assert narrow > 20


def test_speculation_changes_no_answer(free: LocalEngine, demo_photos: list[Path]) -> None:
    requests = _captions(demo_photos[:6])
    expected = _texts(free, requests)
    guesses = replace(free.spec.engine, speculate=True)
    speculating = LocalEngine(replace(free.spec, batch_size=2, engine=guesses))
    first = _texts(speculating, requests)
    second = _texts(speculating, requests)
    for key, answer in expected.items():
        assert first[key].text == second[key].text == answer.text
        assert first[key].new_tokens == answer.new_tokens


def test_the_odds_of_a_verdict_behind_a_mark(free: LocalEngine) -> None:
    """They are those of the words where the mark ends, whoever wrote the mark."""
    formats, lines = load_formats("domain"), {"图片_1": "标签/可以识别×2"}
    request = verdict_stage.request("v", lines, MISSION, PROMPTS.verdict, 12, formats)
    engine = LocalEngine(replace(free.spec, constrain=True))
    guesses = replace(free.spec.engine, speculate=True)
    speculating = LocalEngine(replace(free.spec, constrain=True, engine=guesses))
    answers = [_texts(each, [request])["v"] for each in (engine, speculating)]
    plain = verdict_stage.request("v", lines, MISSION, PROMPTS.verdict, 12)
    assert _texts(engine, [plain])["v"].choice_logprobs.keys() == {"通过", "不通过"}
    # The same question with the mark already written, whose next token is the word.
    prepared = engine._preprocessor.prepare(replace(request, grammar=None))
    mark = engine._tokenizer("Verdict: ", add_special_tokens=False)["input_ids"]
    words = [
        engine._tokenizer(word, add_special_tokens=False)["input_ids"][0]
        for word in ("通过", "不通过")
    ]
    token_ids = torch.cat([prepared.token_ids, torch.tensor(mark)])
    positions = torch.arange(len(token_ids)).expand(3, -1)  # as of any text without photos
    marked = replace(prepared, token_ids=token_ids, positions=positions)
    scheduler = engine._scheduler()
    hidden = engine._runner.forward([scheduler.admit(marked)], scheduler.cache)
    logprobs = engine._runner.logits(hidden)[0].float().log_softmax(-1)
    for answer in answers:
        assert answer.text.startswith("Verdict: ")
        scores = [answer.choice_logprobs[opening] for opening in formats.verdict.openings]
        assert scores == pytest.approx(logprobs[words].tolist(), abs=1e-3)
    # Free to write something else, the model does, and nothing is known of these words.
    assert _texts(free, [request])["v"].choice_logprobs == {}


def test_a_draft_is_a_continuation_that_always_followed() -> None:
    drafts = NgramDrafts()
    drafts.learn([1, 2, 3, 4, 5, 6], 0)
    assert drafts.propose([1, 2, 3, 4], 8) == []
    drafts.learn([9, 1, 2, 3, 4, 5, 6], 1)
    assert drafts.propose([7, 1, 2, 3, 4], 8) == [5, 6]
    assert drafts.propose([7, 1, 2, 3, 4], 1) == [5]
    drafts.learn([1, 2, 3, 4, 8], 0)
    assert drafts.propose([7, 1, 2, 3, 4], 8) == []


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_random_weights_write_nothing_malformed(
    wild: LocalEngine, demo_photos: list[Path], temperature: float
) -> None:
    wild.spec = replace(wild.spec, temperature=temperature)
    photos = demo_photos[:6]
    lines = [
        summary_stage.request(f"s{n}", p, MISSION, PROMPTS.summary, 60)
        for n, p in enumerate(photos)
    ]
    verdicts = [
        verdict_stage.request(
            f"v{n}", {"图片_1": f"标签/可以识别×{n}"}, MISSION, PROMPTS.verdict, 40
        )
        for n in range(6)
    ]
    two = [caption_stage.request("two", photos[:2], PROMPTS.caption, 120)]
    # Sampling depends on keys, which must not name the folder of the photos here.
    captions = [replace(r, key=f"c{n}") for n, r in enumerate(_captions(photos, 120))]
    answers = _texts(wild, [*captions, *two, *lines, *verdicts])
    assert len(answers) == 19
    for key, answer in answers.items():
        if key.startswith("s"):
            try:
                summary.parse(answer.text)
            except FormatError as error:  # half a JSON is no line, which no grammar can say
                fault = error.code
                assert set("{[") & set(answer.text)
            else:
                fault = "truncated"
            assert fault == "truncated"
        elif key.startswith("v"):
            verdict.parse(answer.text)
        else:
            assert len(json.loads(answer.text)) == (2 if key == "two" else 1)
            recovery = recover(answer.text, 2 if key == "two" else 1)
            assert not [repair for repair in recovery.repairs if repair.kind == "dropped"]


def test_an_answer_at_its_limit_is_whole_and_flagged(
    engine: LocalEngine, demo_photos: list[Path]
) -> None:
    (whole,) = engine.answer(_captions(demo_photos[:1]))
    assert isinstance(whole, Answer)
    for limit in (1, 9, 30, *range(whole.new_tokens - 3, whole.new_tokens)):
        (answer,) = engine.answer(_captions(demo_photos[:1], limit))
        assert isinstance(answer, Answer)
        assert answer.finish_reason == "length"
        assert answer.new_tokens == limit
        caption_format.parse(answer.text, 1)


def test_free_answers_may_be_what_they_are(free: LocalEngine, demo_photos: list[Path]) -> None:
    (answer,) = free.answer(_captions(demo_photos[:1], 30))
    assert isinstance(answer, Answer)
    with pytest.raises(Exception, match="not JSON"):
        caption_format.parse(answer.text)


def test_an_object_over_and_over_ends_the_answer(
    engine: LocalEngine, demo_photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "shenhe.engines.local.detokenizer.is_repeating", lambda text, grammar: "object_2" in text
    )
    (answer,) = engine.answer(_captions(demo_photos[:1]))
    assert isinstance(answer, Answer)
    assert answer.finish_reason == "loop"
    captions = caption_stage.read(answer)
    assert captions.truncated
    assert len(captions.caption.photos[0]) == 1


def test_equal_requests_are_answered_once(engine: LocalEngine, demo_photos: list[Path]) -> None:
    first = demo_photos[0]
    requests = [replace(r, key=f"{n}") for n, r in enumerate(_captions([first] * 40))]
    before = engine.forward_passes
    answers = _texts(engine, requests)
    shared = engine.forward_passes - before
    assert len(answers) == 40
    assert len({answer.text for answer in answers.values()}) == 1
    before = engine.forward_passes
    _texts(engine, requests[:1])
    assert shared <= 1.5 * (engine.forward_passes - before)


def test_the_prefix_of_a_prompt_is_computed_once(engine: LocalEngine) -> None:
    requests = [
        verdict_stage.request(f"v{n}", {"图片_1": f"标签/可以识别×{n}"}, MISSION, PROMPTS.verdict)
        for n in range(1, 9)
    ]
    engine._kept.clear()
    expected = {r.key: next(iter(engine.answer([r]))) for r in requests[::-1]}
    assert engine._kept.prefixes.count(engine._preprocessor.prepare(requests[0]).units) > 40
    answers = _texts(engine, requests)
    assert len(answers) == 8
    for key, answer in expected.items():
        assert isinstance(answer, Answer)
        assert answers[key].text == answer.text
        assert answers[key].choice_logprobs == pytest.approx(answer.choice_logprobs, abs=1e-3)


def test_a_grammar_that_cannot_be_read_is_an_engine_error(
    engine: LocalEngine, demo_photos: list[Path]
) -> None:
    broken = replace(grammars.of_summary(), lark="start: nothing")
    request = replace(_captions(demo_photos[:1])[0], grammar=broken)
    with pytest.raises(Exception, match="grammar of a summary cannot be used"):
        list(engine.answer([request]))
