"""The model's forward pass over what answers ask next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from shenhe.engines import packed
from shenhe.engines.key_values import KeyValues
from shenhe.engines.patches import Patches
from shenhe.engines.writing import Writing


class ModelRunner:
    """A checkpoint's own classes, run over packed tokens."""

    def __init__(self, base: Any, patches: Patches) -> None:
        """Take a Qwen3VLForConditionalGeneration; its language model gets packed attention."""
        base.model.language_model.config._attn_implementation = packed.NAME
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
        """Run the model over what is asked.

        Shape: (places, vocabulary): of each answer the place behind what is pending, then those
        behind its guesses.
        """
        packing = packed.pack(store, [writing.piece for writing in active])
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
            logits: torch.Tensor = self.base.lm_head(hidden[_wanted(active).to(self.device)])
        self.forward_passes += 1
        return logits

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
