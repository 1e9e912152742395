"""The recipe of the bundled checkpoint: renders photos, trains a tiny Qwen3-VL, measures it."""
