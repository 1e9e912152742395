"""The local engine: continuous batching over the checkpoint's own transformers classes."""
