"""Every parser over its seeds, and over some that were damaged; `make fuzz` goes on from there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.parsers import PARSERS, call
from tests.fuzz.seeds import LARGEST_SEED, PARSER_NAMES, mutated, seeds

CORPUS = Path(__file__).parent / "corpus"
MUTATIONS = 60


def test_the_corpus_is_small_and_every_parser_has_seeds() -> None:
    assert list(PARSERS) == PARSER_NAMES
    assert all(seeds(name) for name in PARSER_NAMES)
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} <= set(PARSER_NAMES)
    assert sum(path.stat().st_size for path in files) < 30 * LARGEST_SEED


@pytest.mark.parametrize("name", PARSER_NAMES)
def test_nothing_but_the_own_errors(name: str) -> None:
    for path in seeds(name):
        call(name, path.read_bytes())
    for data in mutated(name, seed=0, count=MUTATIONS):
        call(name, data)
