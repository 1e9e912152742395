"""Forward passes of the checkpoint's own classes over packed tokens."""

from __future__ import annotations

from collections import abc
from typing import NamedTuple

import torch
from torch import nn

from shenhe.checkpoints.interfaces import VisionLanguageModel
from shenhe.engines.local import packed_attention
from shenhe.engines.local.fused_mlp import use_fused_mlp
from shenhe.engines.local.kv_cache import KVCache
from shenhe.engines.local.patches import Patches
from shenhe.engines.local.photo_embedding import PhotoFeatures, embed_photos
from shenhe.engines.local.sequence import Sequence
from shenhe.engines.local.skinny_linear import SkinnyLinear, is_quantized, use_skinny_linear
from shenhe.engines.local.text_attention import use_text_attention
from shenhe.engines.local.tower_attention import use_tower_attention
from shenhe.engines.tower_cache import TowerCache
from shenhe.errors import EngineError, spelled


class Scores(NamedTuple):
    """Logits of the candidates for one token.

    `best` is the id with the highest logit; `tokens` are the ids of `values`, None for the whole
    vocabulary in order.
    Shape: values (candidates,).
    """

    values: torch.Tensor
    best: int
    tokens: list[int] | None


class ModelRunner:
    """A Qwen3-VL model with packed attention and skinny linear layers."""

    def __init__(
        self, base: VisionLanguageModel, patches: Patches, tower_cache: TowerCache[PhotoFeatures]
    ) -> None:
        """Switch the language model of `base` to packed attention, in place."""
        base.model.language_model.config._attn_implementation = packed_attention.NAME
        use_skinny_linear(base.model.language_model.modules())
        use_skinny_linear(base.lm_head.modules())
        use_text_attention(base.model.language_model.modules())
        use_tower_attention(base.model.visual.modules())
        use_fused_mlp(base.model.visual.modules())
        self.base, self._patches, self._tower_cache = base, patches, tower_cache
        self.device = base.device
        self.vocabulary_size = int(base.config.text_config.vocab_size)
        self.forward_passes = 0

    def new_cache(self) -> KVCache:
        """Create an empty KV cache for this model."""
        config = self.base.config.text_config
        return KVCache(
            config.num_hidden_layers,
            config.num_key_value_heads,
            config.head_dim,
            self.base.dtype,
            self.device,
        )

    def forward(self, sequences: abc.Sequence[Sequence], cache: KVCache) -> torch.Tensor:
        """Run the model over the next tokens of each sequence, without the LM head.

        Shape: (rows, hidden): for each sequence the hidden state of its last pending token, and
        those of its draft tokens.
        """
        packing = packed_attention.pack(cache, [sequence.span for sequence in sequences])
        ids = torch.tensor([token for sequence in sequences for token in sequence.next_tokens])
        positions = torch.cat([sequence.positions() for sequence in sequences], dim=1)
        # A copy to a device waits for what the device does: it is made before the pass.
        sampled_tokens = _sampled_tokens(sequences).to(self.device)
        with torch.inference_mode():
            embedded = self.base.get_input_embeddings()(ids[None].to(self.device))
            vision = embed_photos(self.base, self._patches, self._tower_cache, sequences, embedded)
            hidden = self.base.model.language_model(
                inputs_embeds=vision.embedded,
                position_ids=positions[:, None].to(self.device),
                use_cache=False,
                packing=packing,
                visual_pos_masks=vision.mask,
                deepstack_visual_embeds=vision.deepstack,
            ).last_hidden_state[0]
            sampled = hidden[sampled_tokens]
        self.forward_passes += 1
        return sampled

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Run the LM head. Shape: (rows, hidden) in, (rows, vocabulary) out.

        Raises: EngineError for logits that are not finite.
        """
        with torch.inference_mode():
            # A skinny product lies transposed, in which a row is slow to look through.
            logits: torch.Tensor = self.base.lm_head(hidden).contiguous()
        self._require_finite(logits)
        return logits

    def scores(self, hidden: torch.Tensor, allowed: abc.Sequence[list[int] | None]) -> list[Scores]:
        """Compute the logits of the allowed tokens of each row; None allows all.

        A narrow choice, as within a number, needs few rows of a large LM head.
        Shape: hidden (rows, hidden).
        Raises: EngineError for logits that are not finite.
        """
        narrow = {row: tokens for row, tokens in enumerate(allowed) if tokens is not None}
        scores: dict[int, Scores] = {}
        if narrow and self._has_plain_head:
            scores = self._narrow_scores(hidden, narrow)
        if full := [row for row in range(len(allowed)) if row not in scores]:
            logits = self.logits(hidden[full] if scores else hidden)
            for row, values, best in zip(full, logits, _best(logits), strict=True):
                scores[row] = Scores(values, best, None)
        return [scores[row] for row in range(len(allowed))]

    @property
    def _has_plain_head(self) -> bool:
        """Whether the LM head is a matrix without adapters and quantisation."""
        head = self.base.lm_head
        return type(head) in (nn.Linear, SkinnyLinear) and not is_quantized(head.weight)

    def _narrow_scores(
        self, hidden: torch.Tensor, allowed: dict[int, list[int]]
    ) -> dict[int, Scores]:
        """Compute the logits of all tokens that any of these rows allows, in one product."""
        tokens = sorted({token for row_tokens in allowed.values() for token in row_tokens})
        column = {token: index for index, token in enumerate(tokens)}
        with torch.inference_mode():
            head = self.base.lm_head
            weights = torch.tensor(tokens, device=self.device)
            bias = None if head.bias is None else head.bias[weights]
            logits = nn.functional.linear(hidden[list(allowed)], head.weight[weights], bias)
            logits = logits.float().cpu()
        self._require_finite(logits)
        scores = {}
        for row_logits, (row, row_tokens) in zip(logits, allowed.items(), strict=True):
            values = row_logits[[column[token] for token in row_tokens]]
            scores[row] = Scores(values, row_tokens[int(values.argmax())], row_tokens)
        return scores

    def _require_finite(self, logits: torch.Tensor) -> None:
        """Refuse logits that are NaN or infinite: a choice among them means nothing.

        Raises: EngineError.
        """
        # Minimum and maximum are NaN if any value is.
        if bool(torch.stack(tuple(logits.aminmax())).isfinite().all()):
            return
        self._tower_cache.clear()  # it may be where they come from
        dtype = str(self.base.dtype).removeprefix("torch.")
        remedy = "a weight of the checkpoint or of an adapter is damaged, see shenhe verify"
        if self.base.dtype == torch.float16:
            dtypes = f"{spelled('dtype', 'bfloat16')} or float32"
            remedy = f"float16 overflows soon, try {dtypes}; else {remedy}"
        raise EngineError(
            f"the model's scores are no numbers (NaN or infinite, in {dtype}): {remedy}"
        )


def _best(logits: torch.Tensor) -> list[int]:
    """Find the highest logit of each row. Shape: (rows, vocabulary)."""
    if logits.device.type == "cpu" and logits.dtype == torch.float32:
        # NumPy takes a fifth of torch's time, which over Qwen's vocabulary is a tenth of a pass.
        best: list[int] = logits.numpy().argmax(-1).tolist()
        return best
    return logits.argmax(-1).tolist()


def _sampled_tokens(sequences: abc.Sequence[Sequence]) -> torch.Tensor:
    """Index the tokens of a pass behind which a token is sampled. Shape: (rows,)."""
    rows: list[int] = []
    start = 0
    for sequence in sequences:
        stop = start + len(sequence.next_tokens)
        rows += range(stop - 1 - len(sequence.draft), stop)
        start = stop
    return torch.tensor(rows)
