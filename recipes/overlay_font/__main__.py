"""Write the font."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

OUTPUT = Path("src/shenhe/overlays/NotoSansSC-GBK.otf")
SIMPLIFIED = 2
"""The number of the simplified Chinese face in the collection."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("collection", type=Path, help="NotoSansCJK-Regular.ttc")
    collection = parser.parse_args().collection
    with tempfile.TemporaryDirectory() as folder:
        characters = Path(folder) / "characters.txt"
        characters.write_text(_characters(), encoding="utf-8")
        subprocess.run(
            [
                *(sys.executable, "-m", "fontTools.subset", str(collection)),
                *(f"--font-number={SIMPLIFIED}", f"--text-file={characters}"),
                *(f"--output-file={OUTPUT}", "--layout-features=", "--no-hinting"),
            ],
            check=True,
        )
    print(f"{OUTPUT}: {OUTPUT.stat().st_size:,} bytes")


def _characters() -> str:
    """All of GBK and Latin, and the signs that overlays and sheets use themselves."""
    found = "".join(map(chr, [*range(0x20, 0x7F), *range(0xA0, 0x180)])) + "…×—✓✗☐□"
    for row in range(0x81, 0xFF):
        for cell in range(0x40, 0xFF):
            found += bytes((row, cell)).decode("gbk", errors="ignore")
    blanks = " \u00a0\u3000"
    return blanks + "".join(sorted(set(filter(str.isprintable, found))))


if __name__ == "__main__":
    main()
