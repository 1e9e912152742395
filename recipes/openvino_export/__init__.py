"""A checkpoint exported for `--engine openvino`, by optimum-intel in an environment of its own."""
