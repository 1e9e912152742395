"""A growing answer of the OpenVINO engine: its memory, its positions, its photos."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from shenhe.engines.growing_answer import GrowingAnswer
from shenhe.engines.openvino.drawing import Drawing
from shenhe.engines.openvino.preparing import PreparedRequest
from shenhe.engines.openvino.tower import PhotoFeatures


@dataclass(slots=True, kw_only=True)
class Sequence(GrowingAnswer):
    """A request whose keys and values lie in `blocks`; see GrowingAnswer.

    `features` are those of its photos, until they have gone through the model.
    """

    prepared: PreparedRequest
    drawing: Drawing
    features: list[PhotoFeatures] = field(default_factory=list)
    blocks: list[int] = field(default_factory=list)

    def take_features(self) -> list[PhotoFeatures]:
        """Hand over the features of the photos: they are needed once."""
        taken, self.features = self.features, []
        return taken

    def positions(self) -> NDArray[np.int64]:
        """Compute the position ids of the pending tokens. Shape: (3, tokens)."""
        stop, prompt = self.cached + len(self.pending), len(self.prepared.token_ids)
        places = np.arange(max(self.cached, prompt), stop) - prompt + self.prepared.behind
        answer = np.broadcast_to(places, (3, len(places)))
        if not self.in_prefill:
            return answer
        return np.concatenate([self.prepared.positions[:, self.cached :], answer], axis=1)
