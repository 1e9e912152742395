"""What a verdict is made from: the Stage-A lines of a group, and what they lack."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

from shenhe.rows.ledger import Json
from shenhe.values import photo_key

SHOWN: Final = 5
"""So many keys of lines are named."""


def lines_hash(per_image: Any) -> str:
    """Fingerprint the lines that a verdict rests on, 16 hex digits."""
    text = json.dumps(per_image, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def rests_on(row: Json) -> str:
    """Fingerprint what a verdict on a Stage-A row rests on: its lines, and what they lack."""
    meta, images = row.get("meta"), row.get("images")
    left_out = meta.get("left_out") if isinstance(meta, dict) else None
    lines = row.get("per_image")
    whole: list[Any] = [left_out] if left_out else []
    if isinstance(images, list) and isinstance(lines, dict) and lacks(len(images), lines):
        whole.append(len(images))
    return lines_hash([lines, *whole] if whole else lines)


def lacks(photos: int, lines: Mapping[str, Any]) -> str:
    """Say what lines lack to be one for each photo, in order; nothing where they are whole."""
    if not lines:
        return f"{photos} 张照片, 没有一行"
    if list(lines) != [photo_key(index) for index in range(photos)]:
        return f"{photos} 张照片, {len(lines)} 行: {', '.join(islice(lines, SHOWN))}"
    blank = [key for key, line in lines.items() if not str(line).strip()]
    return f"没有内容: {', '.join(blank[:SHOWN])}" if blank else ""
