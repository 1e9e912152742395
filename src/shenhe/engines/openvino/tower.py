"""The vision tower: from the patches of a photo to what stands at its image tokens."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shenhe.engines.openvino.exported import PATCHES, PLACES, TOWER, Exported
from shenhe.engines.openvino.patch_product import multiplied
from shenhe.engines.openvino.photo_patches import PatchPlaces, PhotoPatches
from shenhe.engines.openvino.preparing import PreparedPhoto
from shenhe.engines.openvino.runtime import Array, Runtime
from shenhe.engines.tower_cache import TowerCache


class PhotoFeatures(NamedTuple):
    """A photo in the language model: its image tokens, and what is added in its first layers.

    Shape: embedded (image tokens, hidden), deepstack (layers, image tokens, hidden).
    """

    embedded: Array
    deepstack: Array

    @property
    def nbytes(self) -> int:
        """Memory of it. Units: bytes."""
        return self.embedded.nbytes + self.deepstack.nbytes

    def copy(self) -> PhotoFeatures:
        """Copy it, as what a model returns is overwritten by its next call."""
        return PhotoFeatures(self.embedded.copy(), self.deepstack.copy())

    def behind(self, count: int) -> PhotoFeatures:
        """Leave out the first image tokens."""
        return PhotoFeatures(self.embedded[count:], self.deepstack[:, count:])


class Tower:
    """Runs the three models of the tower, photo by photo; `cache` holds what it made of photos."""

    def __init__(self, exported: Exported, runtime: Runtime, kept_bytes: int) -> None:
        """Compile the models; keep features of photos up to so many bytes.

        Raises: EngineError.
        """
        self.cache: TowerCache[PhotoFeatures] = TowerCache(kept_bytes)
        self._patches, self.places = PhotoPatches(exported), PatchPlaces(exported)
        self._embed = runtime.compile(multiplied(runtime.read(exported.model(PATCHES))))
        self._learned = runtime.compile(exported.model(PLACES))
        self._tower = runtime.compile(exported.model(TOWER))

    def features(self, photo: PreparedPhoto) -> PhotoFeatures:
        """Look at a photo, unless it is in the cache.

        Raises: EngineError.
        """
        features = self.cache.get(photo.digest)
        if features is None:
            features = self._look(photo.patches)
            self.cache.put(photo.digest, features)
        return features

    def _look(self, patches: NDArray[np.uint8]) -> PhotoFeatures:
        rows, columns = patches.shape[:2]
        (embedded,) = self._embed({"hidden_states": self._patches.floats(patches)})
        corners, shares = self.places.corners(rows, columns)
        (learned,) = self._learned({"input": corners})
        hidden = embedded + np.einsum("kph,kp->ph", learned, shares)
        inputs = {
            "hidden_states": hidden,
            # Nothing is masked: one photo at a time is seen whole.
            "attention_mask": np.zeros((1, 1, len(hidden)), np.float32),
            "rotary_pos_emb": self.places.angles(rows, columns),
        }
        features, deepstack = self._tower(inputs)
        return PhotoFeatures(features, deepstack).copy()
