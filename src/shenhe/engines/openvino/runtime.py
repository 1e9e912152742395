"""OpenVINO's runtime on this machine: how exactly it computes, and its models compiled."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openvino
from numpy.typing import NDArray

from shenhe.errors import EngineError, OptionError, spelled

DEVICE = "CPU"
PRECISIONS = {"float32": ("f32", "FP32"), "bfloat16": ("bf16", "BF16"), "float16": ("f16", "FP16")}
"""OpenVINO's name of a dtype, and of the capability of computing in it."""
EXACT_WEIGHTS = ("fp32", "fp16")
"""Exports that are computed in float32 unless another dtype is named."""
BFLOAT16_HEAD = 32
"""Attention in bfloat16 takes heads whose width is a multiple of this."""
Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class CompiledModel:
    """A model that maps arrays to arrays, one call at a time."""

    request: openvino.InferRequest

    def __call__(self, inputs: Mapping[str, object]) -> list[Array]:
        """Run the model; what it returns is valid until the next call.

        Raises: EngineError.
        """
        try:
            self.request.infer(dict(inputs), share_inputs=True)
        except RuntimeError as error:
            raise EngineError(f"OpenVINO failed: {error}") from error
        return [tensor.data for tensor in self.request.output_tensors]


class Runtime:
    """Compiles models for the CPU of this machine."""

    def __init__(self, dtype: str, weights: str | None, head: int) -> None:
        """Choose how exactly to compute; auto: float32 for exact weights, else as is fastest.

        `head` is the width of the attention heads of the language model.
        Raises: OptionError for a dtype that this machine does not compute in.
        """
        self._core = openvino.Core()
        in_hardware = self._core.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")
        # Of other widths OpenVINO's attention in bfloat16 ends the process.
        usable = [name for name in in_hardware if name != "BF16" or head % BFLOAT16_HEAD == 0]
        if dtype == "auto":
            exact = weights in EXACT_WEIGHTS or "BF16" not in usable
            dtype = "float32" if exact else "bfloat16"
        self.dtype, (precision, capability) = dtype, PRECISIONS[dtype]
        if capability not in usable:
            problem = f"this processor, or this width of heads ({head}), has none"
            raise OptionError("dtype", dtype, f"{problem}; use {spelled('dtype', 'float32')}")
        self._precision = precision
        self._settings = {"INFERENCE_PRECISION_HINT": precision}
        if (threads := os.environ.get("OMP_NUM_THREADS", "")).isdigit():  # as for torch
            self._settings["INFERENCE_NUM_THREADS"] = threads

    def read(self, path: Path) -> openvino.Model:
        """Read a model.

        Raises: EngineError for a damaged one.
        """
        try:
            return self._core.read_model(path)
        except RuntimeError as error:
            raise EngineError(f"{path}: OpenVINO cannot read it: {error}") from error

    def compile(self, model: openvino.Model | Path) -> CompiledModel:
        """Compile a model.

        Raises: EngineError.
        """
        read = self.read(model) if isinstance(model, Path) else model
        settings = dict(self._settings)
        if any("key_cache" in name for port in read.inputs for name in port.get_names()):
            settings["KV_CACHE_PRECISION"] = self._precision
        try:
            compiled = self._core.compile_model(read, DEVICE, settings)
            return CompiledModel(compiled.create_infer_request())
        except RuntimeError as error:
            raise EngineError(f"OpenVINO cannot run this export: {error}") from error
