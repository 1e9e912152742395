"""Render the bundled demo photos: groups of all four missions, in the layout of real trees.

    python -m recipes.demo_checkpoint.demo_photos

Among them are what phones and people make of photos: one turned by EXIF, one WebP, one HEIC under
a JPEG's name, one damaged file, and a group that nobody has labelled yet.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import pillow_heif
from PIL import Image

from recipes.demo_checkpoint.draw import draw
from recipes.demo_checkpoint.groups import KINDS_OF, make_group
from shenhe.values import FAIL, PASS

GROUPS_OF_EACH = 3
JPEG_QUALITY = 80
LABELS = {PASS: "审核通过", FAIL: "审核不通过"}
ROTATED = 6  # EXIF: the camera was held upright, turn by 90 degrees


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("src/shenhe/demo/photos"))
    output = parser.parse_args().output
    shutil.rmtree(output, ignore_errors=True)
    for number, mission in enumerate(KINDS_OF):
        wanted = {PASS: GROUPS_OF_EACH, FAIL: GROUPS_OF_EACH}
        index = 0
        while any(wanted.values()):
            made = make_group(mission, f"demo/{index}")
            index += 1
            ruling = made.judgement.verdict
            if not wanted[ruling] or not 2 <= len(made.scenes) <= 3:
                continue
            wanted[ruling] -= 1
            group = f"QC-202611{number + 10}-{index:07d}"
            folder = output / mission / LABELS[ruling] / group
            folder.mkdir(parents=True)
            for at, scene in enumerate(made.scenes, 1):
                draw(scene).save(folder / f"img-{at:03d}.jpeg", quality=JPEG_QUALITY)
    _as_in_the_field(output)


def _as_in_the_field(output: Path) -> None:
    """Turn some of the photos into what the field sends."""
    install, ground, fibre, baffle = (sorted((output / m).glob("*/*")) for m in KINDS_OF)
    photo = install[0] / "img-001.jpeg"
    exif = Image.Exif()
    exif[0x0112] = ROTATED
    upright = Image.open(photo)
    upright.transpose(Image.Transpose.ROTATE_90).save(photo, quality=JPEG_QUALITY, exif=exif)
    photo = ground[0] / "img-001.jpeg"
    Image.open(photo).save(photo.with_suffix(".webp"), quality=JPEG_QUALITY)
    photo.unlink()
    photo = fibre[0] / "img-002.jpeg"
    pillow_heif.from_pillow(Image.open(photo)).save(photo, quality=JPEG_QUALITY)
    photo = fibre[-1] / "img-002.jpeg"
    photo.write_bytes(photo.read_bytes()[:9000])
    baffle[-1].rename(baffle[-1].parent.parent / baffle[-1].name)


if __name__ == "__main__":
    main()
