"""Bicubic resizing with antialiasing by numpy: bit for bit the pixels that torch makes.

Fingerprints, promises and rows of earlier runs hold only while the pixels stay the same. torch
rounds the weights of a sample to 16 bits and sums in integers, the rows first. Here the same whole
numbers go through BLAS, in floats that hold every sum exactly. Where torch is loaded already it
takes a third of the time; loading it takes seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shenhe.geometry import Size

BLOCK: Final = 8
"""Lines that one product makes: the band of weights is narrow, and a wider block is mostly zero."""
PRODUCT: Final = 2**18
"""Multiplications of one product: all that it takes stays in the cache, and OpenBLAS takes more
threads only for more, which on a busy machine wait for each other ten times as long."""
WEIGHT_BITS: Final = 15
"""Bits of the largest weight, its sign apart."""
LARGEST_PRECISION: Final = 22
SUPPORT: Final = 2.0
"""Reach of the cubic on either side, in lines of the smaller scale."""
EXACT_IN_FLOAT32: Final = 2**24
Floats = NDArray[np.float32] | NDArray[np.float64]


class _Weights(NamedTuple):
    """Whole weights of the input lines that make each output line.

    Shape: first, width (lines,); values (lines, taps). A sum is divided by 2**precision.
    """

    first: NDArray[np.int64]
    width: NDArray[np.int64]
    values: NDArray[np.int64]
    precision: int


class _Block(NamedTuple):
    """Output lines start to end, made from input lines first to last.

    Shape: weights (end - start, last - first + 1); the last column rounds.
    """

    start: int
    end: int
    first: int
    last: int
    weights: Floats


def resample(image: Image.Image, size: Size) -> Image.Image:
    """Resize an RGB image.

        resample(image, Size(640, 512)).size == (640, 512)

    Shape: sides of at least 1.
    """
    if image.width != size.width:
        # Lines are contiguous, columns are not: as columns of the image on its side they are.
        turned = image.transpose(Image.Transpose.TRANSPOSE)
        image = _with_lines(turned, size.width).transpose(Image.Transpose.TRANSPOSE)
    return image if image.height == size.height else _with_lines(image, size.height)


def _with_lines(image: Image.Image, count: int) -> Image.Image:
    """Resize the height of an image alone."""
    lines = np.asarray(image).reshape(image.height, -1)
    resized = np.empty((count, lines.shape[1]), np.uint8)
    blocks = _blocks(image.height, count)
    span, dtype = max(block.weights.shape[1] for block in blocks), blocks[0].weights.dtype
    step = max(1, PRODUCT // (BLOCK * span))
    for left in range(0, lines.shape[1], step):
        chunk, made = lines[:, left : left + step], resized[:, left : left + step]
        taken = np.empty((span, chunk.shape[1]), dtype)
        sums = np.empty((BLOCK, chunk.shape[1]), dtype)
        for start, end, first, last, weights in blocks:
            inputs, outputs = taken[: last - first + 1], sums[: end - start]
            inputs[:-1] = chunk[first:last]
            inputs[-1] = 1
            np.matmul(weights, inputs, out=outputs)
            np.clip(outputs, 0, 255, out=outputs)
            made[start:end] = outputs  # cut off to whole steps: half of one was added before
    return Image.fromarray(resized.reshape(count, image.width, 3))


@lru_cache(maxsize=32)
def _blocks(lines: int, count: int) -> tuple[_Block, ...]:
    """Cut the weights into blocks; the photos of a run have few sizes."""
    return tuple(_cut(_weights(lines, count)))


def _cut(weights: _Weights) -> Iterator[_Block]:
    half = 2.0**-1 * 2**weights.precision
    largest = np.abs(weights.values).sum(axis=1).max() * 255 + half
    dtype = np.float32 if largest < EXACT_IN_FLOAT32 else np.float64
    for start in range(0, len(weights.first), BLOCK):
        end = min(len(weights.first), start + BLOCK)
        first = int(weights.first[start])
        last = int((weights.first[start:end] + weights.width[start:end]).max())
        band = np.zeros((end - start, last - first + 1))
        for line in range(start, end):
            offset, width = weights.first[line] - first, weights.width[line]
            band[line - start, offset : offset + width] = weights.values[line, :width]
        band[:, -1] = half
        yield _Block(start, end, first, last, (band / 2**weights.precision).astype(dtype))


def _weights(lines: int, count: int) -> _Weights:
    """Compute the weights of a resize from so many lines to so many.

    Source: `_compute_indices_min_size_weights_aa` and the 16-bit weights of torch's resize.
    """
    scale = lines / count
    support, shrink = SUPPORT * max(scale, 1.0), 1 / max(scale, 1.0)
    centres = scale * (np.arange(count) + 0.5)
    first = np.maximum((centres - support + 0.5).astype(np.int64), 0)
    taps = math.ceil(support) * 2 + 1
    reach = np.minimum((centres + support + 0.5).astype(np.int64), lines) - first
    width = np.clip(reach, 0, taps)
    tap = np.arange(taps)
    curve = _cubic((tap + first[:, None] - centres[:, None] + 0.5) * shrink)
    curve[tap >= width[:, None]] = 0
    curve /= np.cumsum(curve, axis=1)[:, -1:]  # summed in torch's order
    precision = _precision(float(curve.max()))
    scaled = curve * 2**precision
    values = np.trunc(scaled + np.where(scaled < 0, -0.5, 0.5)).astype(np.int64)
    return _Weights(first, width, values, precision)


def _precision(largest: float) -> int:
    """Find how many bits all weights can be moved by."""
    precision = 0
    while precision < LARGEST_PRECISION and int(0.5 + largest * 2 ** (precision + 1)) < (
        1 << WEIGHT_BITS
    ):
        precision += 1
    return precision


def _cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys' cubic with a = -0.5."""
    x = np.abs(distance)
    near = ((1.5 * x) - 2.5) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * -0.5
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))
