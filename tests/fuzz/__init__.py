"""Parsers under arbitrary bytes: `make fuzz`, or the corpus alone in the tests."""
