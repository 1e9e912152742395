"""Twelve kinds of malformed caption: what a peer's parser makes of them, and what ours does.

    python -m venv peer && peer/bin/pip install supervision
    python -m bench.malformed_captions --peer peer/bin/python

Every text is in the form that the peer reads, a list of boxes, before it is damaged: what differs
is what becomes of the damage. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path

from shenhe.errors import FormatError
from shenhe.formats.caption_recovery import recover
from shenhe.formats.repairs import Repair
from shenhe.geometry import to_numbers

FIRST = '{"bbox_2d": [100, 200, 300, 400], "label": "BBU设备/华为"}'
SECOND = '{"bbox_2d": [500, 500, 700, 900], "label": "挡风板/华为"}'
WHOLE = f"[{FIRST}, {SECOND}]"
GROUPED = (
    '{"图片_1": {"object_1": {"bbox_2d": [100, 200, 300, 400], "desc": "BBU设备/华为"},'
    ' "object_2": {"bbox_2d": [500, 500, 700, 900], "desc": "挡风板/华为"}}}'
)
KINDS = {
    "well-formed": WHOLE,
    "cut at the token limit": WHOLE[:-30],
    "code fence": f"```json\n{WHOLE}\n```",
    "words around it": f"这是结果: {WHOLE} 请查收。",
    "single quotes": WHOLE.replace('"', "'"),
    "trailing comma": f"[{FIRST}, {SECOND},]",
    "missing comma": f"[{FIRST} {SECOND}]",
    "full-width punctuation": WHOLE.replace(": ", "：").replace("}, {", "}，{"),
    "floats": WHOLE.replace("100, 200", "100.4, 199.7"),
    "grouped JSON": GROUPED,
    "one object without its box": f'[{FIRST}, {{"label": "挡风板/华为"}}]',
    "the same object again and again": "[" + ", ".join([FIRST] * 40),
    "older box tokens": "BBU设备/华为(100,200),(300,400)挡风板/华为(500,500),(700,900)",
    "no caption at all": "图片看不清，无法标注。",
}
PEER = """
import json, sys
from supervision.detection.vlm import from_qwen_3_vl
said = []
for text in json.load(sys.stdin):
    try:
        said.append(from_qwen_3_vl(text, (1000, 1000))[0].tolist())
    except Exception as error:
        said.append(f"{type(error).__name__}: {error}")
print(json.dumps(said))
"""


def peer_boxes(python: Path, texts: list[str]) -> list[list[list[float]] | str]:
    """Let the peer read texts: its boxes, or the error it raised."""
    done = subprocess.run(
        [str(python), "-c", PEER],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=True,
    )
    said: list[list[list[float]] | str] = json.loads(done.stdout)
    return said


def our_boxes(text: str) -> tuple[list[list[float]], tuple[Repair, ...]] | FormatError:
    """Read a text ourselves: boxes and repairs, or the error."""
    try:
        found = recover(text, 1)
    except FormatError as error:
        return error
    (objects,) = found.caption.photos
    return [to_numbers(thing.shape) for thing in objects], found.repairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", type=Path, required=True, help="a Python that has supervision")
    python = parser.parse_args().peer
    print("| kind | supervision | shenhe |\n|---|---|---|")
    for (kind, text), peer in zip(
        KINDS.items(), peer_boxes(python, list(KINDS.values())), strict=True
    ):
        theirs = peer if isinstance(peer, str) else f"{len(peer)} boxes"
        ours = our_boxes(text)
        if isinstance(ours, FormatError):
            told = f"fails: `{ours.code}`"
        else:
            codes = ", ".join(f"`{repair.kind}`" for repair in ours[1])
            told = f"{len(ours[0])} boxes" + (f"; {codes}" if codes else "")
        print(f"| {kind} | {theirs} | {told} |")


if __name__ == "__main__":
    main()
