"""Twelve kinds of malformed caption, read by a peer's parser and by ours.

    python -m venv peer && peer/bin/pip install supervision
    python -m bench.malformed_captions --peer peer/bin/python

Each text is in the form that the peer reads, a list of boxes, before it is damaged, so that only
the handling of the damage differs. Prints a table in Markdown.
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
outcomes = []
for text in json.load(sys.stdin):
    try:
        outcomes.append(from_qwen_3_vl(text, (1000, 1000))[0].tolist())
    except Exception as error:
        outcomes.append(f"{type(error).__name__}: {error}")
print(json.dumps(outcomes))
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
    outcomes: list[list[list[float]] | str] = json.loads(done.stdout)
    return outcomes


def our_boxes(text: str) -> tuple[list[list[float]], tuple[Repair, ...]] | FormatError:
    """Read a text ourselves: boxes and repairs, or the error."""
    try:
        recovery = recover(text, 1)
    except FormatError as error:
        return error
    (objects,) = recovery.caption.photos
    return [to_numbers(item.shape) for item in objects], recovery.repairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", type=Path, required=True, help="a Python that has supervision")
    python = parser.parse_args().peer
    print("| kind | supervision | shenhe |\n|---|---|---|")
    for (kind, text), peer in zip(
        KINDS.items(), peer_boxes(python, list(KINDS.values())), strict=True
    ):
        peer_outcome = peer if isinstance(peer, str) else f"{len(peer)} boxes"
        result = our_boxes(text)
        if isinstance(result, FormatError):
            outcome = f"fails: `{result.code}`"
        else:
            codes = ", ".join(f"`{repair.kind}`" for repair in result[1])
            outcome = f"{len(result[0])} boxes" + (f"; {codes}" if codes else "")
        print(f"| {kind} | {peer_outcome} | {outcome} |")


if __name__ == "__main__":
    main()
