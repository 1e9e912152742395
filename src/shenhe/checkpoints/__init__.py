"""Inspect and load checkpoints and adapters."""

from shenhe.checkpoints.inspect import CheckpointFiles, find_adapter, find_checkpoint, fingerprint
from shenhe.checkpoints.load import LoadedCheckpoint, load_checkpoint

__all__ = [
    "CheckpointFiles",
    "LoadedCheckpoint",
    "find_adapter",
    "find_checkpoint",
    "fingerprint",
    "load_checkpoint",
]
