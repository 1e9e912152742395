"""From tokens to text: where an answer ends, when it repeats itself, what it says."""

from __future__ import annotations

import re
from collections.abc import Iterable

from shenhe.checkpoints.interfaces import PlainTokenizer
from shenhe.engines.growing_answer import GrowingAnswer
from shenhe.engines.prompts import ChoiceTokens, choice_tokens
from shenhe.engines.token_texts import TokenTexts
from shenhe.formats.closing import close_truncated
from shenhe.formats.repetition import is_repeating
from shenhe.messages import Answer, Grammar, Request, RequestFailed, TokenLogprob


class Detokenizer:
    """Reads sequences with a checkpoint's tokenizer; `end_tokens` end an answer."""

    def __init__(self, tokenizer: PlainTokenizer, end_tokens: Iterable[int]) -> None:
        self._tokenizer, self.end_tokens = tokenizer, frozenset(end_tokens)
        self._closes_item: dict[int, bool] = {}
        self._token_texts = TokenTexts(tokenizer)

    def append(self, sequence: GrowingAnswer, token: int) -> None:
        """Append a chosen token and those that the grammar forces, and check for the end."""
        limit = sequence.prepared.request.max_new_tokens
        if token in self.end_tokens:
            sequence.finish = "stop"
            return
        tokens = [token]
        if sequence.constraint is not None:
            tokens += sequence.constraint.advance(token)
        room = limit - len(sequence.output)
        sequence.pending = tokens[:room]
        sequence.output += sequence.pending
        if sequence.prepared.request.stop and self._has_stop(sequence, len(tokens)):
            sequence.finish = "stop"
        elif len(tokens) > room:
            sequence.finish = "length"
        elif sequence.constraint is not None and sequence.constraint.complete:
            sequence.finish = "stop"
        elif len(sequence.output) >= limit:
            sequence.finish = "length"
        elif self._close_item(tokens) and self._repeats(sequence):
            sequence.finish = "loop"

    def result(self, sequence: GrowingAnswer) -> Answer | RequestFailed:
        """Read an ended sequence, or return its failure."""
        answer = None
        if sequence.failure is None:
            with sequence.isolated():
                answer = self._answer(sequence)
        result = answer or sequence.failure
        assert result is not None
        return result

    def logprobs(self, sequence: GrowingAnswer, first: int = 0) -> tuple[TokenLogprob, ...]:
        """Give the log-probabilities of the tokens from the first on; empty if not asked for.

        What the grammar forces has a probability of 1.
        """
        top = sequence.prepared.request.top_logprobs
        if top is None:
            return ()
        return tuple(
            self._token_texts.logprob(
                sequence.scored.get(place) or [(token, 0.0)] * (2 if top else 1)
            )
            for place, token in enumerate(sequence.output[first:], first)
        )

    def text(self, tokens: list[int]) -> str:
        """Decode tokens, special ones included: some checkpoints write boxes with them."""
        return self._tokenizer.decode(tokens, skip_special_tokens=False)

    def _answer(self, sequence: GrowingAnswer) -> Answer:
        request, finish = sequence.prepared.request, sequence.finish or "length"
        text, grammar = before_stop(self.text(sequence.output), request.stop), request.grammar
        if finish != "stop" and sequence.constraint is not None and isinstance(grammar, Grammar):
            text = close_truncated(text, grammar)
        return Answer(
            key=request.key,
            text=text,
            finish_reason=finish,
            prompt_tokens=len(sequence.prepared.token_ids),
            new_tokens=len(sequence.output),
            sizes=sequence.prepared.sizes,
            choice_logprobs=sequence.choice_logprobs or {},
            attempt=request.attempt,
            token_logprobs=self.logprobs(sequence),
        )

    def choice_tokens(self, request: Request) -> ChoiceTokens | None:
        """Find the tokens by which the choices of a request can be told apart."""
        return choice_tokens(request.choices, self._tokenizer) if request.choices else None

    def _close_item(self, tokens: list[int]) -> bool:
        """Whether one of these tokens ends an object or a list item, which may be a repetition."""
        for token in tokens:
            if token not in self._closes_item:
                self._closes_item[token] = bool(re.search("[}，]", self.text([token])))
            if self._closes_item[token]:
                return True
        return False

    def _repeats(self, sequence: GrowingAnswer) -> bool:
        grammar = sequence.prepared.request.grammar
        if not isinstance(grammar, Grammar):
            return False
        return is_repeating(self.text(sequence.output), grammar)

    def _has_stop(self, sequence: GrowingAnswer, count: int) -> bool:
        """Whether one of the texts that end an answer stands in its last tokens."""
        stop = sequence.prepared.request.stop
        # A token is a byte at least, also of an incomplete character.
        reach = count + max(len(text.encode()) for text in stop)
        end = self.text(sequence.output[-reach:])
        return any(text in end for text in stop)


def before_stop(text: str, stop: Iterable[str]) -> str:
    r"""Cut an answer before the first of the texts that end it.

    >>> before_stop("通过\n理由: 螺丝", ["理由", "\n"])
    '通过'
    """
    places = [place for end in stop if (place := text.find(end)) >= 0]
    return text[: min(places)] if places else text
