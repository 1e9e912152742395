"""The repetition penalty: the scores of tokens that stand in the text already are lowered."""

from __future__ import annotations

import torch


class RepetitionPenalty:
    """The penalty of one sequence, by the rule of transformers.

    It applies to the tokens of the prompt and of the answer so far, to each once, however often it
    stands there: a positive score is divided by the penalty, a negative one multiplied with it.
    """

    def __init__(self, penalty: float, prompt: torch.Tensor, vocabulary_size: int) -> None:
        """Begin with the tokens of a prompt. Shape: prompt (tokens,)."""
        self._penalty, self._counted = penalty, 0
        self._present = torch.zeros(vocabulary_size, dtype=torch.bool)
        self._present[prompt] = True

    def apply(
        self, scores: torch.Tensor, tokens: list[int] | None, output: list[int]
    ) -> torch.Tensor:
        """Lower the scores of `tokens`, or of the whole vocabulary, behind an answer so far.

        Shape: scores (candidates,); (candidates,) out, float32.
        """
        self._present[output[self._counted :]] = True
        self._counted = len(output)
        present = self._present if tokens is None else self._present[tokens]
        values = scores.float()
        lowered = torch.where(values < 0, values * self._penalty, values / self._penalty)
        return torch.where(present.to(values.device), lowered, values)
