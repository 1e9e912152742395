"""Time and memory of the index of near duplicates.

    python -m bench.near_duplicates [--hashes 10000000]

Random hashes of 64 bits; one of fifty has a near duplicate, four bits or less away. The index is
built, all pairs are looked for, then single hashes. Prints one row of a Markdown table.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from shenhe.photos.near_duplicates import NEAR, HashIndex

QUERIES = 10_000
COPIES = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hashes", type=int, default=10_000_000)
    options = parser.parse_args()
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 2**64, options.hashes, dtype=np.uint64)
    copies = rng.choice(hashes, options.hashes // COPIES)
    for _ in range(NEAR):
        copies ^= np.uint64(1) << rng.integers(0, 64, len(copies), dtype=np.uint64)
    hashes = np.unique(np.concatenate([hashes, copies]))
    before = _megabytes()
    start = time.perf_counter()
    index = HashIndex(hashes)
    built = time.perf_counter() - start
    kept = _megabytes() - before
    start = time.perf_counter()
    pairs = sum(len(block.first) for block in index.pairs(NEAR))
    joined = time.perf_counter() - start
    start = time.perf_counter()
    found = sum(len(index.find(int(value), NEAR)) for value in copies[:QUERIES])
    asked = time.perf_counter() - start
    print("| hashes | build | all pairs | pairs | one hash | built on top | at most |")
    print("|---|---|---|---|---|---|---|")
    cells = (f"{len(hashes):,}", f"{built:.1f} s", f"{joined:.0f} s", f"{pairs:,}")
    one = f"{asked / QUERIES * 1e3:.2f} ms ({found / QUERIES:.1f} found)"
    print(f"| {' | '.join((*cells, one, f'{kept:.0f} MB', f'{_megabytes():.0f} MB'))} |")


def _megabytes() -> float:
    """Give the most memory that the process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
