"""Text formats: each module has `parse(text) -> value` and `render(value) -> text`."""
