"""Precision and recall of what is told of photos, on photos that are rendered.

    python -m bench.photo_flags [--photos 400] [--others 2500]

Photos of the demo's renderer are saved, scaled, cropped, brightened and turned, and compared with
themselves as they were; the others are photos of other scenes by the same renderer, with the same
objects before the same background: the hardest to tell apart. Hashes of two kinds are compared, the
one that is used and dHash. Then photos are blurred and darkened. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from recipes.demo_checkpoint.draw import draw
from recipes.demo_checkpoint.lessons import photo_scene
from shenhe.messages import PhotoFacts
from shenhe.photos import read_facts
from shenhe.photos.facts import grey_copy
from shenhe.photos.flags import BLURRED, DARK, LIMITS, flag_photos
from shenhe.photos.near_duplicates import NEAR, count_bits
from shenhe.photos.perceptual_hash import hash_grey

DISTANCES = (2, 4, 6, 8, 10)
Change = Callable[[Image.Image, Random], Image.Image]


def _saved(quality: int) -> Change:
    def save(image: Image.Image, rng: Random) -> Image.Image:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        return Image.open(buffer).convert("RGB")

    return save


def _scaled(factor: float) -> Change:
    return lambda image, rng: ImageOps.scale(image, factor)


def _brightened(factor: float) -> Change:
    return lambda image, rng: ImageEnhance.Brightness(image).enhance(factor)


def _cropped(share: float) -> Change:
    def crop(image: Image.Image, rng: Random) -> Image.Image:
        width, height = (round(side * (1 - share)) for side in image.size)
        left, top = rng.randint(0, image.width - width), rng.randint(0, image.height - height)
        return image.crop((left, top, left + width, top + height))

    return crop


def _turned(image: Image.Image, rng: Random) -> Image.Image:
    """Store it turned, with the EXIF that turns it back, and open it as readers do."""
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    image.transpose(Image.Transpose.ROTATE_90).save(buffer, "JPEG", quality=90, exif=exif)
    return ImageOps.exif_transpose(Image.open(buffer)).convert("RGB")


def _passed_on(image: Image.Image, rng: Random) -> Image.Image:
    """Crop it a little, halve it, brighten it and save it: what chat programs and people do."""
    for change in (_cropped(0.03), _scaled(0.5), _brightened(1.1), _saved(60)):
        image = change(image, rng)
    return image


CHANGES: Mapping[str, Change] = {
    "saved, quality 95": _saved(95),
    "saved, quality 75": _saved(75),
    "saved, quality 50": _saved(50),
    "half the size": _scaled(0.5),
    "twice the size": _scaled(2),
    "darker by 20 %": _brightened(0.8),
    "brighter by 20 %": _brightened(1.2),
    "turned by EXIF": _turned,
    "cropped by 2 %": _cropped(0.02),
    "cropped by 5 %": _cropped(0.05),
    "cropped by 10 %": _cropped(0.1),
    "cropped by 3 %, halved, brightened, saved at 60": _passed_on,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=400)
    parser.add_argument("--others", type=int, default=2500)
    options = parser.parse_args()
    count = max(options.others, options.photos)
    photos = [draw(photo_scene("test", index)) for index in range(count)]
    for name, hash_photo in (("pHash (used)", _perceptual), ("dHash", _difference)):
        _compare_hashes(name, hash_photo, photos, options.photos)
    _measure_flags(photos[: options.photos])


def _perceptual(image: Image.Image) -> int | None:
    digits = hash_grey(grey_copy(image))
    return None if digits is None else int(digits, 16)


def _difference(image: Image.Image) -> int | None:
    """Whether each of 8 x 8 areas is brighter than the one to its left."""
    grey = np.asarray(grey_copy(image).resize((9, 8), Image.Resampling.BOX), np.int32)
    return int.from_bytes(np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes())


def _compare_hashes(
    name: str,
    hash_photo: Callable[[Image.Image], int | None],
    photos: list[Image.Image],
    changed: int,
) -> None:
    """Print the recall for each change, and how many pairs of other photos are taken for near."""
    own = [hash_photo(photo) for photo in photos]
    hashes = np.array([value for value in own if value is not None], np.uint64)
    print(f"\n**{name}**, no hash for want of contrast: {own.count(None)} of {len(own)}\n")
    print(f"| change | {' | '.join(f'within {d}' for d in DISTANCES)} |")
    print("|---" * (len(DISTANCES) + 1) + "|")
    for title, change in CHANGES.items():
        rng, distances = Random(1), []
        for photo, value in zip(photos[:changed], own[:changed], strict=True):
            after = hash_photo(change(photo, rng)) if value is not None else None
            if value is not None:
                distances.append(65 if after is None else (value ^ after).bit_count())
        _row(title, (f"{np.mean(np.array(distances) <= d):.3f}" for d in DISTANCES))
    near = dict.fromkeys(DISTANCES, 0)
    for index in range(1, len(hashes)):
        between = count_bits(hashes[:index] ^ hashes[index])
        near = {d: count + int((between <= d).sum()) for d, count in near.items()}
    pairs = len(hashes) * (len(hashes) - 1) // 2
    _row(f"other photos: of {pairs:,} pairs", map(str, near.values()))


def _measure_flags(photos: list[Image.Image]) -> None:
    print(f"\n| photos ({len(photos)}) | blurred | dark | screenshot |\n|---|---|---|---|")
    kinds: dict[str, Change] = {"as they are": lambda image, rng: image}
    kinds |= {title: CHANGES[title] for title in ("saved, quality 50", "half the size")}
    for radius in (0.5, 1.0, 1.5, 2.0, 3.0, 5.0):
        kinds[f"blurred, radius {radius / 6.4:.2f} % of the width"] = _blurred(radius)
    for factor in (0.5, 0.3, 0.2, 0.1):
        kinds[f"{factor:.0%} of the light"] = _brightened(factor)
    kinds["of the size of a screen, PNG"] = lambda image, rng: image.resize((1080, 2340))
    kinds["photo within a page, PNG"] = _page
    with tempfile.TemporaryDirectory() as folder:
        for title, change in kinds.items():
            _row(title, _shares(photos, change, Path(folder), "PNG" if "PNG" in title else "JPEG"))
    print(f"\nlimits: {LIMITS}, near: {NEAR}")


def _shares(photos: list[Image.Image], change: Change, folder: Path, kind: str) -> Iterable[str]:
    """Give the shares of photos that have each flag once they are changed."""
    rng, told = Random(2), list[tuple[bool, bool, bool]]()
    for photo in photos:
        path = folder / f"photo.{kind}"
        change(photo, rng).save(path, kind, quality=90)
        facts: PhotoFacts = read_facts(path)
        flags = flag_photos("", [facts])[0]
        told.append((BLURRED in flags, DARK in flags, bool(facts.screenshot)))
    return (f"{share:.3f}" for share in np.mean(told, axis=0))


def _blurred(radius: float) -> Change:
    return lambda image, rng: image.filter(ImageFilter.GaussianBlur(radius))


def _page(image: Image.Image, rng: Random) -> Image.Image:
    """Put a photo into a page as a phone shows it: a bar above, text and a field below."""
    page = Image.new("RGB", (1080, 2340), (250, 250, 250))
    page.paste(ImageOps.contain(image, (1080, 900)), (0, 300))
    pen = ImageDraw.Draw(page)
    for line in range(rng.randint(4, 16)):
        pen.rectangle(
            (60, 1300 + 60 * line, rng.randint(300, 1000), 1330 + 60 * line), (70, 70, 70)
        )
    return page


def _row(title: str, cells: Iterable[str]) -> None:
    print(f"| {title} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
