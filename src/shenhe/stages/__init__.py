"""The jobs a model does: each has pure `requests(...)` and `read(...)`."""
