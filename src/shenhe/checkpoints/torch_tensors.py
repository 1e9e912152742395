"""Stored tensors as torch's: for PEFT and transformers, which a merge of LoRA does without."""

from __future__ import annotations

import torch

from shenhe.checkpoints.tensors import Dtype, StoredTensor


def torch_dtype(dtype: Dtype) -> torch.dtype:
    """Look up torch's dtype of the same values."""
    counterpart: torch.dtype = getattr(torch, dtype.word)
    return counterpart


def read_tensor(stored: StoredTensor) -> torch.Tensor:
    """Read a stored tensor.

    Raises: CheckpointError if its file cannot be read or has become shorter.
    """
    dtype = torch_dtype(stored.dtype)
    if not stored.nbytes:
        return torch.empty(stored.shape, dtype=dtype)
    # Not filled first, as a bytearray is.
    memory = torch.empty(stored.nbytes, dtype=torch.uint8)
    stored.read_into(memory.numpy().data, 0)
    return memory.view(dtype).view(stored.shape)
