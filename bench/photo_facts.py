"""What facts of photos cost, in pairs: each photo with and without them, one after the other.

    python -m bench.photo_facts [--photos 6] [--rounds 15]

12-megapixel JPEGs like a phone's are loaded in one thread, then prepared as the local engine does:
cut into patches, and hashed to find equal ones. Without facts the pixels are hashed for that, with
facts the hash of the file is there. Prints the ratios of processor time.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import patch

import torch

from bench.photos import phone_photo
from shenhe.checkpoints.load import load_checkpoint
from shenhe.engines.local.patches import Patches
from shenhe.messages import PhotoFacts
from shenhe.photos import PixelBudget, load, opening

BUDGET = PixelBudget()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    patches = Patches(load_checkpoint("demo").processor.image_processor)

    def prepare(path: Path, facts: bool) -> None:
        photo = load(path, BUDGET)
        patches.cut(photo.raster.array)
        digest = hashlib.blake2b(digest_size=16)
        content_hash = photo.sizes.facts.content_hash or ""
        digest.update(content_hash.encode() if facts else photo.image.tobytes())

    with tempfile.TemporaryDirectory() as folder:
        paths = [phone_photo(Path(folder) / f"{n}.jpg", n) for n in range(options.photos)]
        for title, work in {
            "loading alone": lambda path, facts: load(path, BUDGET),
            "all that is done before the model": prepare,
        }.items():
            _compare(title, work, paths, options.rounds)


def _no_facts(*args: object, **kwargs: object) -> PhotoFacts:
    return PhotoFacts()


def _compare(
    title: str, work: Callable[[Path, bool], object], paths: list[Path], rounds: int
) -> None:
    pairs: list[tuple[float, float]] = []
    for number in range(rounds):
        for path in paths:
            seconds = {}
            for facts in (bool(number % 2), not number % 2):
                with nullcontext() if facts else patch.object(opening, "measure", _no_facts):
                    start = time.process_time()
                    work(path, facts)
                    seconds[facts] = time.process_time() - start
            pairs.append((seconds[True], seconds[False]))
    ratio = statistics.median(with_facts / without for with_facts, without in pairs)
    own, other = (statistics.median(each) * 1e3 for each in zip(*pairs, strict=True))
    print(f"{title}: {own:.1f} ms with facts, {other:.1f} without, median ratio {ratio:.3f}")


if __name__ == "__main__":
    main()
