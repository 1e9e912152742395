"""Qwen3-VL checkpoints as the GGUF files that llama.cpp reads."""
