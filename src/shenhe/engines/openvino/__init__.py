"""The OpenVINO engine: an exported checkpoint, run without torch and without transformers."""
