"""What clients ask for beside an answer: log-probabilities, ends, sampling, forms of their own."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from shenhe.config import load_missions, load_prompts
from shenhe.engines.base import EngineSpec
from shenhe.engines.local.engine import LocalEngine
from shenhe.engines.options import LocalOptions
from shenhe.messages import (
    Answer,
    FreeGrammar,
    Grammar,
    Message,
    Piece,
    Request,
    RequestFailed,
    Sampling,
    TokenLogprob,
)
from shenhe.stages import summary, verdict

MISSION = load_missions().get("挡风板安装检查")
PROMPTS = load_prompts()
LINES = {"图片_1": "BBU设备/华为/显示完整/无需安装×1", "图片_2": "标签/可以识别×1"}


def _verdict(key: str = "v") -> Request:
    return verdict.request(key, LINES, MISSION, PROMPTS.verdict)


def _free(key: str, grammar: FreeGrammar | None, tokens: int = 32) -> Request:
    return Request(key, (Message("user", ("说几句。",)),), tokens, grammar=grammar)


def _answer(engine: LocalEngine, request: Request) -> Answer:
    (answer,) = engine.answer([request])
    assert isinstance(answer, Answer), answer
    return answer


def test_each_token_comes_with_its_logprob(engine: LocalEngine, demo_photos: list[Path]) -> None:
    line = summary.request("a", demo_photos[0], MISSION, PROMPTS.summary, 96)
    for request in (_verdict(), line, replace(line, grammar=None)):
        plain = _answer(engine, request)
        answer = _answer(engine, replace(request, top_logprobs=5))
        assert answer.text == plain.text
        assert plain.token_logprobs == ()
        assert len(answer.token_logprobs) == answer.new_tokens
        assert b"".join(token.raw for token in answer.token_logprobs).decode() == answer.text
        for token in answer.token_logprobs:
            assert 1 <= len(token.top) <= 5
            assert -30 < token.logprob <= 1e-6
            assert sum(math.exp(other.logprob) for other in token.top) <= 1 + 1e-5
            # Greedy: the token is the likeliest that the grammar allows.
            assert token.top[0].raw == token.raw
            assert token.top[0].logprob == token.logprob


def test_logprobs_are_those_of_the_model(engine: LocalEngine) -> None:
    request = replace(_free("a", None, 2), top_logprobs=3)
    expected = engine.next_logits(request).log_softmax(-1)
    first = _answer(engine, request).token_logprobs[0]
    assert [token.logprob for token in first.top] == pytest.approx(expected.topk(3).values.tolist())
    # What a grammar forces has a probability of 1; among what it allows the sum is 1.
    held = replace(request, grammar=FreeGrammar("regex", "(通过|不通过)好"), max_new_tokens=8)
    answer = _answer(engine, replace(held, top_logprobs=20))
    assert answer.text in ("通过好", "不通过好")
    sums = [sum(math.exp(o.logprob) for o in token.top) for token in answer.token_logprobs]
    assert sums == pytest.approx([1.0] * len(sums), abs=1e-5)
    assert answer.token_logprobs[-1].logprob == 0


def test_pieces_carry_the_logprobs_of_their_tokens(engine: LocalEngine) -> None:
    request = replace(_verdict(), streamed=True, top_logprobs=0)
    tokens, text, answers = list[TokenLogprob](), "", list[Answer]()
    for result in engine.serve([request]):
        if isinstance(result, Piece):
            tokens += result.token_logprobs
            text += result.text
            assert b"".join(t.raw for t in tokens).decode(errors="ignore").startswith(text)
        else:
            assert isinstance(result, Answer)
            answers.append(result)
    (answer,) = answers
    assert (tuple(tokens), text) == (answer.token_logprobs, answer.text)
    assert all(token.top == () for token in tokens)


@pytest.mark.parametrize("grammar", [True, False])
def test_an_answer_ends_before_a_stop(engine: LocalEngine, grammar: bool) -> None:
    request = _verdict() if grammar else replace(_verdict(), grammar=None)
    whole = _answer(engine, request)
    for stop in ("\n", "理由", "由: ", whole.text[-3:]):
        stopped = replace(request, stop=("没有这个", stop), streamed=True)
        pieces = [r.text for r in engine.serve([stopped]) if isinstance(r, Piece)]
        answer = _answer(engine, replace(stopped, streamed=False))
        assert answer.text == whole.text[: whole.text.index(stop)]
        assert answer.finish_reason == "stop"
        assert "".join(pieces) == answer.text
        assert answer.new_tokens <= whole.new_tokens
    assert _answer(engine, replace(request, stop=("没有这个",))).text == whole.text


def test_sampling_is_as_the_client_says(engine: LocalEngine) -> None:
    request = _free("a", None, 12)
    greedy = _answer(engine, request).text
    hot = Sampling(temperature=2.0, seed=7)
    drawn = _answer(engine, replace(request, sampling=hot)).text
    assert drawn != greedy
    assert _answer(engine, replace(request, key="other", sampling=hot)).text == drawn
    assert _answer(engine, replace(request, sampling=replace(hot, seed=8))).text != drawn
    # Without a seed the key decides.
    unseeded = [
        _answer(engine, replace(request, key=key, sampling=replace(hot, seed=None))).text
        for key in "abc"
    ]
    assert len(set(unseeded)) > 1
    for narrow in (replace(hot, top_k=1), replace(hot, min_p=1.0), replace(hot, top_p=1e-6)):
        assert _answer(engine, replace(request, sampling=narrow)).text == greedy
    # A retry of the engine's own would be sampled; a client's request is as the client says.
    assert _answer(engine, replace(request, attempt=2, sampling=Sampling())).text == greedy
    penal = replace(request, max_new_tokens=24, sampling=Sampling(repetition_penalty=5.0))
    assert _answer(engine, penal).text != _answer(engine, replace(penal, sampling=None)).text


SCHEMA = {
    "type": "object",
    "properties": {
        "verdict": {"enum": ["通过", "不通过"]},
        "count": {"type": "integer", "minimum": 0, "maximum": 9},
    },
    "required": ["verdict", "count"],
    "additionalProperties": False,
}
LARK = 'start: "红" color+\ncolor: "绿" | "蓝"\n'


def test_answers_keep_to_a_clients_own_form(engine: LocalEngine) -> None:
    requests = [
        _free("regex", FreeGrammar("regex", r"[0-9]{3}-[a-z/]{2}")),
        _free("json", FreeGrammar("json_schema", json.dumps(SCHEMA)), 64),
        replace(_free("lark", FreeGrammar("lark", LARK), 9), sampling=Sampling(1.0, seed=3)),
        _free("free", None),
    ]
    texts = {a.key: a.text for a in engine.answer(requests) if isinstance(a, Answer)}
    assert re.fullmatch(r"[0-9]{3}-[a-z/]{2}", texts["regex"])
    told = json.loads(texts["json"])
    assert told.keys() == {"verdict", "count"}
    assert told["verdict"] in ("通过", "不通过")
    assert 0 <= told["count"] <= 9
    assert re.match("红[绿蓝]*", texts["lark"])
    unconstrained = LocalEngine(
        EngineSpec(
            model="demo",
            adapters=("demo",),
            constrain=False,
            engine=LocalOptions(dtype="float32"),
        )
    )
    assert _answer(unconstrained, requests[0]).text == texts["regex"]


@pytest.mark.parametrize(
    "grammar",
    [
        FreeGrammar("regex", "a(b"),
        FreeGrammar("regex", "(?=x)y"),
        FreeGrammar("lark", "start: nothing"),
        FreeGrammar("json_schema", '{"type": "no such type"}'),
        FreeGrammar("json_schema", "no JSON"),
        FreeGrammar("json_schema", "[]"),
        FreeGrammar("regex", "a{1000000}{1000000}"),
    ],
)
def test_a_form_of_no_use_fails_alone(engine: LocalEngine, grammar: FreeGrammar) -> None:
    results = {r.key: r for r in engine.answer([_free("bad", grammar), _verdict()])}
    assert isinstance(results["v"], Answer)
    failed = results["bad"]
    assert isinstance(failed, RequestFailed)
    assert failed.code in ("bad_grammar", "library_error")


def test_a_foreign_copy_of_a_format_fails_alone(engine: LocalEngine) -> None:
    request = _verdict()
    assert isinstance(request.grammar, Grammar)
    copy = replace(request.grammar, is_foreign=True)
    assert _answer(engine, replace(request, grammar=copy)).text == _answer(engine, request).text
    (failed,) = engine.answer([replace(request, grammar=replace(copy, lark="start: x"))])
    assert isinstance(failed, RequestFailed)
    assert failed.code == "bad_grammar"
