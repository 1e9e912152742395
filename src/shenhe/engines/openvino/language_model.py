"""Forward passes of the language model over the next tokens of many sequences."""

from __future__ import annotations

from collections.abc import Sequence as Sequences

import numpy as np

from shenhe.engines.openvino.exported import EMBEDDING, LANGUAGE, Exported
from shenhe.engines.openvino.kv_blocks import BLOCK, KVBlocks, blocks_for
from shenhe.engines.openvino.paged_model import CHOSEN, paged
from shenhe.engines.openvino.preparing import PreparedRequest
from shenhe.engines.openvino.runtime import Array, Runtime
from shenhe.engines.openvino.sequence import Sequence
from shenhe.errors import EngineError, spelled


class LanguageModel:
    """The language model, its embedding and its memory of keys and values."""

    def __init__(self, exported: Exported, runtime: Runtime, kept_bytes: int) -> None:
        """Compile the models; keep keys and values of prompts up to so many bytes.

        Raises: EngineError.
        """
        self._image_token, self._dtype = exported.image_token, runtime.dtype
        self._embed = runtime.compile(exported.model(EMBEDDING))
        model = paged(runtime.read(exported.model(LANGUAGE)))
        self._deepstack = exported.deepstack
        self.vocabulary_size = model.output(0).get_partial_shape()[-1].get_length()
        self._model = runtime.compile(model)
        self.blocks = KVBlocks(self._model.request, kept_bytes)
        self.forward_passes = self.prompt_tokens = self.reused_tokens = 0

    def begin(self, prepared: PreparedRequest) -> tuple[list[int], int]:
        """Find the blocks that a prompt begins with, and count the tokens that they hold."""
        blocks = self.blocks.find(prepared.block_keys)
        cached = len(blocks) * BLOCK
        self.prompt_tokens += len(prepared.token_ids)
        self.reused_tokens += cached
        return blocks, cached

    def forward(self, sequences: Sequences[Sequence]) -> Array:
        """Run the pending tokens of sequences, and take them as seen.

        Shape: (sequences, vocabulary): the logits behind the last token of each.
        Raises: EngineError, also for logits that are not finite.
        """
        for sequence in sequences:
            tokens = sequence.cached + len(sequence.pending)
            missing = blocks_for(tokens) - len(sequence.blocks)
            sequence.blocks += self.blocks.take(max(0, missing))
        counts = [len(sequence.pending) for sequence in sequences]
        begins = np.cumsum([0, *counts])
        blocks = [sequence.blocks for sequence in sequences]
        inputs: dict[str, object] = {
            **self._embedded(sequences),
            "position_ids": np.concatenate([s.positions() for s in sequences], axis=1),
            "max_context_len": np.array(
                max(s.cached + count for s, count in zip(sequences, counts, strict=True)), np.int32
            ),
            "past_lens": np.array([sequence.cached for sequence in sequences], np.int32),
            "subsequence_begins": begins.astype(np.int32),
            "block_indices": np.concatenate(blocks).astype(np.int32),
            "block_indices_begins": np.cumsum([0, *map(len, blocks)]).astype(np.int32),
            CHOSEN: begins[1:] - 1,
        }
        (logits,) = self._model(inputs)
        self.forward_passes += 1
        rows = logits.reshape(len(sequences), self.vocabulary_size)
        self._require_finite(rows)
        for sequence in sequences:
            if sequence.in_prefill:
                self.blocks.keep(sequence.prepared.block_keys, sequence.blocks)
            sequence.advance(len(sequence.pending))
        return rows

    def end(self, sequence: Sequence) -> None:
        """Take back the memory of a sequence."""
        self.blocks.give_back(sequence.blocks)
        sequence.blocks = []

    def _embedded(self, sequences: Sequences[Sequence]) -> dict[str, object]:
        """Embed the pending tokens, photos at their image tokens."""
        ids = np.concatenate([sequence.pending for sequence in sequences]).astype(np.int64)
        (embedded,) = self._embed({"input": ids[None]})
        embedded = embedded[0]
        mask = np.zeros(len(ids), bool)
        features = [photo for s in sequences if s.in_prefill for photo in s.take_features()]
        if features:
            start = 0
            for sequence in sequences:
                stop = start + len(sequence.pending)
                if sequence.in_prefill:
                    mask[start:stop] = ids[start:stop] == self._image_token
                start = stop
            embedded[mask] = np.concatenate([photo.embedded for photo in features])
        # Without a photo it is one row that nothing takes: empty ones are not for every version.
        nothing = np.zeros((self._deepstack, 1, embedded.shape[1]), np.float32)
        deepstack = [photo.deepstack for photo in features] or [nothing]
        return {
            "inputs_embeds": embedded,
            "visual_pos_masks": mask[None],
            "deepstack_visual_embeds": np.concatenate(deepstack, axis=1),
        }

    def _require_finite(self, logits: Array) -> None:
        """Refuse logits that are NaN or infinite: a choice among them means nothing.

        Raises: EngineError.
        """
        # Minimum and maximum are NaN if any value is.
        if np.isfinite(logits.min()) and np.isfinite(logits.max()):
            return
        remedy = "a weight of the export is damaged: export it again"
        if self._dtype == "float16":
            remedy = f"float16 overflows soon, try {spelled('dtype', 'float32')}; else {remedy}"
        raise EngineError(
            f"the model's scores are no numbers (NaN or infinite, in {self._dtype}): {remedy}"
        )
