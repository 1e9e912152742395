"""transformers in this process: preprocessing, scheduling, the model, its caches."""
