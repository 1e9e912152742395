"""Work that is not done twice: photos and beginnings of prompts that requests share."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shenhe.config import load_missions, load_prompts
from shenhe.config.prompts import Example
from shenhe.engines.base import EngineSpec
from shenhe.engines.local.engine import LocalEngine
from shenhe.engines.local.kv_cache import KVCache
from shenhe.engines.local.model_runner import ModelRunner
from shenhe.engines.local.photo_embedding import PhotoFeatures
from shenhe.engines.local.prefix_cache import MIN_TOKENS, PrefixCache
from shenhe.engines.local.sequence import Sequence as RunningSequence
from shenhe.engines.options import LocalOptions
from shenhe.engines.tower_cache import TowerCache
from shenhe.errors import EngineError
from shenhe.messages import Answer, Request, RequestFailed
from shenhe.stages import caption, summary, verdict

MISSIONS, PROMPTS = list(load_missions()), load_prompts()


def _engine(reuse_memory: int | None, **options: object) -> LocalEngine:
    local = LocalOptions(dtype="float32", reuse_memory=reuse_memory)
    values = {"model": "demo", "adapters": ("demo",), "batch_size": 4} | options
    return LocalEngine(EngineSpec(engine=local, **values))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def keeping() -> LocalEngine:
    return _engine(None)


@pytest.fixture(scope="module")
def forgetting() -> LocalEngine:
    return _engine(0)


@pytest.fixture(scope="module")
def photos(demo_photos: list[Path]) -> list[Path]:
    return demo_photos[:3]


def _lines(photos: list[Path], missions: int = 3) -> list[Request]:
    """Several missions over the same photos, with log-probabilities."""
    return [
        replace(
            summary.request(f"{mission.name} {number}", photo, mission, PROMPTS.summary, 24),
            top_logprobs=2,
        )
        for mission in MISSIONS[:missions]
        for number, photo in enumerate(photos)
    ]


def _votes(count: int) -> list[Request]:
    lines = {"图片_1": "BBU设备/华为/显示完整/无需安装×1", "图片_2": "无关图片"}
    asked = verdict.request("vote", lines, MISSIONS[0], PROMPTS.verdict)
    return [
        replace(asked, key=f"vote {number}", temperature=0.7 if number else 0.0)
        for number in range(count)
    ]


def _answers(engine: LocalEngine, requests: Sequence[Request]) -> dict[str, Answer]:
    answers = {answer.key: answer for answer in engine.answer(requests)}
    assert answers.keys() == {request.key for request in requests}
    assert all(isinstance(answer, Answer) for answer in answers.values()), answers
    return {key: answer for key, answer in answers.items() if isinstance(answer, Answer)}


def _assert_alike(answers: dict[str, Answer], expected: dict[str, Answer]) -> None:
    for key, answer in expected.items():
        assert answers[key].text == answer.text
        assert answers[key].choice_logprobs == pytest.approx(answer.choice_logprobs, abs=1e-3)
        assert [token.text for token in answers[key].token_logprobs] == [
            token.text for token in answer.token_logprobs
        ]
        assert [token.logprob for token in answers[key].token_logprobs] == pytest.approx(
            [token.logprob for token in answer.token_logprobs], abs=1e-3
        )


def test_missions_over_the_same_photos_compute_each_photo_once(
    keeping: LocalEngine, forgetting: LocalEngine, photos: list[Path]
) -> None:
    requests = _lines(photos)
    expected = _answers(forgetting, requests)
    assert forgetting.reuse.reused_photos == forgetting.reuse.reused_tokens == 0
    image_tokens = _image_tokens(keeping, photos)
    for order in (requests, sorted(requests, key=lambda request: request.key[-1])):
        keeping._kept.clear()
        before = keeping.reuse
        _assert_alike(_answers(keeping, order), expected)
        now = keeping.reuse
        # The language model has the photo behind the same beginning: the tower is not even asked.
        assert now.photos - before.photos == len(photos)
        assert now.reused_tokens - before.reused_tokens > 2 * image_tokens


def test_missions_over_the_same_photos_decode_each_photo_once(
    keeping: LocalEngine, forgetting: LocalEngine, photos: list[Path]
) -> None:
    requests = _lines(photos)
    keeping._kept.clear()
    for engine, reused in ((keeping, 2 * len(photos)), (forgetting, 0)):
        opened, before = engine._kept.photos.photos, engine._kept.photos.reused_photos
        answers = _answers(engine, requests)
        assert engine._kept.photos.photos - opened == len(requests)
        assert engine._kept.photos.reused_photos - before == reused
    for key, answer in _answers(keeping, requests).items():
        assert answer.sizes == answers[key].sizes


def test_a_caption_and_a_line_share_the_tower(
    keeping: LocalEngine, forgetting: LocalEngine, photos: list[Path]
) -> None:
    requests = _lines(photos, missions=1)
    requests += [
        caption.request(f"caption {n}", [photo], PROMPTS.caption, 48)
        for n, photo in enumerate(photos)
    ]
    random.Random(1).shuffle(requests)
    keeping._kept.clear()
    before = keeping.reuse
    _assert_alike(_answers(keeping, requests), _answers(forgetting, requests))
    assert keeping.reuse.reused_photos - before.reused_photos > 0
    assert len(keeping._kept.towers) == len(photos)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_votes_share_their_prompt(
    keeping: LocalEngine, forgetting: LocalEngine, batch_size: int
) -> None:
    keeping._kept.clear()
    keeping._slots, before = batch_size, keeping.reuse
    try:
        _assert_alike(_answers(keeping, _votes(5)), _answers(forgetting, _votes(5)))
    finally:
        keeping._slots = 4
    tokens = keeping.reuse.prompt_tokens - before.prompt_tokens
    assert keeping.reuse.reused_tokens - before.reused_tokens == 4 * (tokens / 5 - 1)


def test_worked_examples_are_computed_once(
    keeping: LocalEngine, forgetting: LocalEngine, photos: list[Path]
) -> None:
    examples = (Example(photo=photos[0], answer="无关图片"),)
    template = PROMPTS.summary.model_copy(update={"examples": examples})
    requests = [
        summary.request(str(photo), photo, MISSIONS[0], template, 24) for photo in photos[1:]
    ]
    keeping._kept.clear()
    before = keeping.reuse
    _assert_alike(_answers(keeping, requests), _answers(forgetting, requests))
    assert keeping.reuse.photos - before.photos == len(photos)


def test_two_photos_in_another_order_are_another_prompt(
    keeping: LocalEngine, forgetting: LocalEngine, photos: list[Path]
) -> None:
    first, second = photos[:2]
    requests = [
        caption.request(f"caption {number}", pair, PROMPTS.caption, 48)
        for number, pair in enumerate(([first], [first, second], [second, first], [first, first]))
    ]
    keeping._kept.clear()
    before = keeping.reuse
    _assert_alike(_answers(keeping, requests), _answers(forgetting, requests))
    assert len(keeping._kept.towers) == 2
    assert keeping.reuse.reused_tokens > before.reused_tokens


def test_little_memory_holds_and_changes_no_answer(
    keeping: LocalEngine, forgetting: LocalEngine, photos: list[Path]
) -> None:
    requests, kept = _lines(photos, missions=2), keeping._kept
    kept.clear()
    usual, bound = kept.towers._max_bytes, 400 * keeping._runner.new_cache().bytes_per_token
    kept.towers._max_bytes = kept.prefixes._max_bytes = bound
    try:
        _assert_alike(_answers(keeping, requests), _answers(forgetting, requests))
        assert 0 < kept.towers.nbytes <= bound
        assert 0 < kept.prefixes.nbytes <= bound
    finally:
        kept.towers._max_bytes = kept.prefixes._max_bytes = usual


def test_memory_that_runs_out_drops_what_is_kept(
    keeping: LocalEngine,
    forgetting: LocalEngine,
    photos: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forward, passes = ModelRunner.forward, []

    def scarce(runner: ModelRunner, running: list[RunningSequence], cache: KVCache) -> torch.Tensor:
        passes.append(len(running))
        hidden = forward(runner, running, cache)
        if len(passes) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return hidden

    requests = _lines(photos, missions=2)
    expected = _answers(forgetting, requests)
    keeping._kept.clear()
    monkeypatch.setattr(ModelRunner, "forward", scarce)
    with pytest.warns(UserWarning, match="batch size is now"):
        answers = _answers(keeping, requests)
    keeping._slots = 4
    _assert_alike(answers, expected)


def test_a_leader_that_is_given_up_leaves_its_followers(
    keeping: LocalEngine, forgetting: LocalEngine, photos: list[Path]
) -> None:
    requests = _lines(photos[:1])
    keeping._kept.clear()

    def source() -> Iterator[Request]:
        yield from requests
        keeping.cancel(requests[0].key)

    results = {result.key: result for result in keeping.answer(source())}
    assert isinstance(results.pop(requests[0].key), RequestFailed)
    answers = {key: answer for key, answer in results.items() if isinstance(answer, Answer)}
    _assert_alike(answers, _answers(forgetting, requests[1:]))


def test_other_weights_keep_their_own(
    keeping: LocalEngine, forgetting: LocalEngine, photos: list[Path]
) -> None:
    """Without the adapter, with it merged, and with a weight that is no number for a while."""
    requests = _lines(photos[:1], missions=1)
    own, base = _answers(keeping, requests), _engine(None, adapters=())
    assert base.reuse.photos == 0
    assert [answer.text for answer in _answers(base, requests).values()] != [
        answer.text for answer in own.values()
    ]
    _assert_alike(_answers(keeping, requests), _answers(forgetting, requests))
    bias = base._base.model.visual.get_parameter("patch_embed.proj.bias")
    expected = _answers(base, requests)
    base._kept.clear()
    with torch.inference_mode():
        sound = float(bias[0])
        bias[0] = torch.nan
        for _ in range(2):
            with pytest.raises(EngineError, match="no numbers"):
                list(base.answer(requests))
        bias[0] = sound
    _assert_alike(_answers(base, requests), expected)


def test_merged_adapters_begin_anew(photos: list[Path]) -> None:
    engine, requests = _engine(None), _lines(photos[:1], missions=1)
    expected = _answers(engine, requests)
    assert engine._kept.towers.nbytes
    assert engine._kept.prefixes.nbytes
    engine.merge_adapters()
    assert engine._kept.towers.nbytes == engine._kept.prefixes.nbytes == 0
    assert engine._kept.photos.nbytes == 0
    _assert_alike(_answers(engine, requests), expected)


def _image_tokens(engine: LocalEngine, photos: list[Path]) -> int:
    token = engine._base.config.image_token_id
    prompts = [engine.prepare(request).token_ids for request in _lines(photos, missions=1)]
    return sum(tokens.count(token) for tokens in prompts)


LAYERS, HEADS, SIZE, SLOTS = 2, 1, 2, 3
UNITS = st.lists(st.sampled_from([1, 2, -7]), min_size=1, max_size=4)


def _entries(units: Sequence[int]) -> torch.Tensor:
    """Keys and values as a model makes them: each depends on all units up to its own."""
    values, state = [], 0
    for unit in units:
        state = hash((state, unit)) % 100_003
        values.append(state)
    return torch.tensor(values, dtype=torch.float32)[None, :, None, None].expand(
        2 * LAYERS, -1, HEADS, SIZE
    )


@settings(max_examples=60)
@given(
    prompts=st.lists(st.lists(UNITS, min_size=1, max_size=3), min_size=1, max_size=12),
    max_tokens=st.sampled_from([0, 40, 90, 10_000]),
)
def test_what_is_kept_of_prompts_is_what_a_model_made(
    prompts: list[list[list[int]]], max_tokens: int
) -> None:
    """Prompts with common beginnings of all lengths, within a bound."""
    cache = KVCache(LAYERS, HEADS, SIZE, torch.float32, torch.device("cpu"))
    cache.reserve(SLOTS, 256)
    kept = PrefixCache(max_tokens * cache.bytes_per_token)
    for number, pieces in enumerate(prompts):
        # Each piece stands for a run of tokens; a photo's end before the next one's begin.
        units = [unit for piece in pieces for unit in [*(u for u in piece for _ in range(9)), 3]]
        slot, made = number % SLOTS, _entries(units)
        cache.load(slot, 0, torch.full((2 * LAYERS, 256, HEADS, SIZE), torch.nan))
        count = kept.load(cache, slot, units)
        assert count < len(units)
        assert count == 0 or count >= MIN_TOKENS
        assert torch.equal(cache.copy(slot, 0, count), made[:, :count])
        cache.load(slot, 0, made)
        kept.store(cache, slot, units)
        assert kept.nbytes <= max_tokens * cache.bytes_per_token
        if MIN_TOKENS < len(units) <= max_tokens:
            assert kept.count(units) >= len(units) - 2 * MIN_TOKENS
    kept.clear()
    assert kept.count(units) == kept.nbytes == len(kept) == 0


def test_the_least_recently_used_photo_goes_first() -> None:
    part = torch.zeros(4, 8)
    cache: TowerCache[PhotoFeatures] = TowerCache(max_bytes=3 * 2 * part.nbytes)
    for name in (b"a", b"b", b"c"):
        cache.put(name, PhotoFeatures(part, (part,)))
    assert cache.get(b"a") is not None
    cache.put(b"d", PhotoFeatures(part, (part,)))
    assert [cache.get(name) is not None for name in (b"a", b"b", b"c", b"d")] == [
        *(True, False, True, True)
    ]
    cache.put(b"large", PhotoFeatures(torch.zeros(99, 8), ()))
    assert cache.get(b"large") is None
    assert len(cache) == 3
    assert (cache.photos, cache.reused_photos) == (6, 4)
