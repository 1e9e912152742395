"""Inspect, load, merge and check checkpoints and adapters."""

from shenhe.checkpoints.inspect import CheckpointFiles, find_adapter, find_checkpoint, fingerprint

__all__ = ["CheckpointFiles", "find_adapter", "find_checkpoint", "fingerprint"]
