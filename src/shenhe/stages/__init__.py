"""The jobs of a model: each has a pure `request(...)` and a pure `read(...)`."""
