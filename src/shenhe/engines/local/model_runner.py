"""The model's forward pass over what answers ask next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from shenhe.engines.local import packed_attention
from shenhe.engines.local.kv_cache import KeyValues
from shenhe.engines.local.patches import Patches
from shenhe.engines.local.sequence import Writing
from shenhe.engines.local.skinny_linear import ThinLinear, is_quantized, make_thin
from shenhe.errors import EngineError


class Scores(NamedTuple):
    """What the model gives to the tokens that may come at one place.

    Shape: values (tokens,); `tokens` are their ids, None: the whole vocabulary, in order.
    """

    values: torch.Tensor
    likeliest: int
    tokens: list[int] | None


class ModelRunner:
    """A checkpoint's own classes, run over packed_attention tokens."""

    def __init__(self, base: Any, patches: Patches) -> None:
        """Take a Qwen3VLForConditionalGeneration; its language model gets packed attention."""
        base.model.language_model.config._attn_implementation = packed_attention.NAME
        make_thin(base.model.language_model)
        make_thin(base.lm_head)
        self.base, self._patches = base, patches
        self.device: torch.device = base.device
        self.image_token = int(base.config.image_token_id)
        self.forward_passes = 0

    def store(self) -> KeyValues:
        """Make an empty store for this model."""
        text = self.base.config.text_config
        return KeyValues(
            text.num_hidden_layers,
            text.num_key_value_heads,
            text.head_dim,
            self.base.dtype,
            self.device,
        )

    def forward(self, active: Sequence[Writing], store: KeyValues) -> torch.Tensor:
        """Run the model over what is asked, but for its head.

        Shape: (places, hidden): of each answer the place behind what is pending, then those behind
        its guesses.
        """
        packing = packed_attention.pack(store, [writing.piece for writing in active])
        ids = torch.tensor([token for writing in active for token in writing.asked])
        positions = torch.cat([writing.positions() for writing in active], dim=1)
        with torch.inference_mode():
            embedded = self.base.get_input_embeddings()(ids[None].to(self.device))
            embedded, seen = self._with_photos(active, embedded)
            hidden = self.base.model.language_model(
                inputs_embeds=embedded,
                position_ids=positions[:, None].to(self.device),
                use_cache=False,
                packing=packing,
                **seen,
            ).last_hidden_state[0]
            wanted: torch.Tensor = hidden[_wanted(active).to(self.device)]
        self.forward_passes += 1
        return wanted

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Run the head. Shape: (places, hidden) in, (places, vocabulary) out.

        Raises: EngineError if a score is no number.
        """
        with torch.inference_mode():
            found: torch.Tensor = self.base.lm_head(hidden)
        self._refuse_no_numbers(found)
        return found

    def scores(self, hidden: torch.Tensor, allowed: Sequence[Sequence[int] | None]) -> list[Scores]:
        """Run the head for the tokens that may come at each place; None: for all.

        Where only few may come, as within a number, most of a large head would be in vain.
        Shape: hidden (places, hidden), allowed one a place.
        Raises: EngineError if a score is no number.
        """
        narrow = [at for at, tokens in enumerate(allowed) if tokens is not None]
        if not self._plain_head:
            narrow = []
        found: dict[int, Scores] = {}
        if narrow:
            found = self._narrow_scores(hidden, {at: list(allowed[at] or ()) for at in narrow})
        if whole := [at for at in range(len(allowed)) if at not in found]:
            logits = self.logits(hidden if not found else hidden[whole])
            for at, values, likeliest in zip(
                whole, logits, logits.argmax(-1).tolist(), strict=True
            ):
                found[at] = Scores(values, likeliest, None)
        return [found[at] for at in range(len(allowed))]

    @property
    def _plain_head(self) -> bool:
        """Whether the head is its weights and nothing else: no adapter, not quantised."""
        head = self.base.lm_head
        return type(head) in (nn.Linear, ThinLinear) and not is_quantized(head.weight)

    def _narrow_scores(
        self, hidden: torch.Tensor, allowed: dict[int, list[int]]
    ) -> dict[int, Scores]:
        """Run the head's rows of all tokens that may come at any of these places, at once."""
        tokens = sorted({token for few in allowed.values() for token in few})
        column = {token: at for at, token in enumerate(tokens)}
        with torch.inference_mode():
            head = self.base.lm_head
            rows = torch.tensor(tokens, device=self.device)
            bias = None if head.bias is None else head.bias[rows]
            logits = nn.functional.linear(hidden[list(allowed)], head.weight[rows], bias)
            logits = logits.float().cpu()
        self._refuse_no_numbers(logits)
        found = {}
        for values, (at, few) in zip(logits, allowed.items(), strict=True):
            those = values[[column[token] for token in few]]
            found[at] = Scores(those, few[int(those.argmax())], few)
        return found

    def _refuse_no_numbers(self, logits: torch.Tensor) -> None:
        """Refuse scores that are NaN or infinite: whatever is chosen by them means nothing.

        Raises: EngineError.
        """
        # The least and the highest are NaN where any is.
        if bool(torch.stack(tuple(logits.aminmax())).isfinite().all()):
            return
        dtype = str(self.base.dtype).removeprefix("torch.")
        remedy = "a weight of the checkpoint or of an adapter is damaged, see shenhe verify"
        if self.base.dtype == torch.float16:
            remedy = f"float16 overflows soon, try --dtype bfloat16 or float32; else {remedy}"
        raise EngineError(
            f"the model's scores are no numbers (NaN or infinite, in {dtype}): {remedy}"
        )

    def _with_photos(
        self, active: Sequence[Writing], embedded: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        """Put photos in the places that prompts keep for them; give what else of them is seen."""
        seeing = [w.opened for w in active if w.begins and w.opened.patches is not None]
        if not seeing:
            return embedded, {}
        grids = torch.cat([opened.grids for opened in seeing if opened.grids is not None])
        patches = torch.cat([opened.patches for opened in seeing if opened.patches is not None])
        features = self.base.model.get_image_features(
            self._patches.floats(patches.to(self.device)), grids.to(self.device), return_dict=True
        )
        places = torch.cat([self._places(writing) for writing in active])[None].to(self.device)
        values = torch.cat(list(features.pooler_output)).to(embedded.dtype)
        embedded = embedded.masked_scatter(places[..., None], values)
        deep = [torch.cat(list(parts)) for parts in features.deepstack_features]
        return embedded, {"visual_pos_masks": places, "deepstack_visual_embeds": deep}

    def _places(self, writing: Writing) -> torch.Tensor:
        """Tell which of the pending tokens are places of photos. Shape: (tokens,)."""
        found = torch.zeros(len(writing.asked), dtype=torch.bool)
        if writing.begins:
            left = writing.opened.token_ids[writing.past :]
            found[: len(left)] = left == self.image_token
        return found


def _wanted(active: Sequence[Writing]) -> torch.Tensor:
    """Find the tokens behind which something is to be chosen, in the order of all."""
    found: list[int] = []
    start = 0
    for writing in active:
        stop = start + len(writing.asked)
        found += range(stop - 1 - len(writing.draft), stop)
        start = stop
    return torch.tensor(found)
