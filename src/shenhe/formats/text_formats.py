"""The text formats that a checkpoint was trained on, as values: what its answers look like.

`config.formats` makes them of TOML. Grammars, parsers, renderers and checks take one of these.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Final, Literal

PolygonKey = Literal["quad", "poly", "both"]
"""Keys that polygons are written under: `quad` (four corners), `poly` with `poly_points`, or a quad
for four corners and a poly for any other number."""


@dataclass(frozen=True, slots=True)
class SummaryFormat:
    """The form of a Stage-A answer.

    `keyed` answers are JSON, {"图片_1": "line"}, of which the line is the value. A `header` is a
    first line, as `<DOMAIN={domain}>, <TASK=SUMMARY>` with one of `domains`; JSON stands below it,
    and is kept as JSON. A photo with nothing relevant is 无关图片 in each of them.
    """

    wrapper: Literal["line", "keyed", "json"] = "line"
    header: str = ""
    domains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VerdictFormat:
    r"""The two lines of a verdict.

    The first of `verdict_marks` and of `reason_marks` is written, each of them is read. Blank lines
    between the two may be read where `blank_lines` says so.
    """

    verdict_marks: tuple[str, ...] = ("",)
    reason_marks: tuple[str, ...] = ("理由: ",)
    blank_lines: bool = False


@dataclass(frozen=True, slots=True)
class CaptionFormat:
    """The form of a dense caption: grouped JSON, with a header line or without photos' keys.

    `header` and `domains` are as in `SummaryFormat`. Without `photo_keys` the objects of the only
    photo stand at the top: {"object_1": ...}, and {} is a photo without objects.
    """

    header: str = ""
    domains: tuple[str, ...] = ()
    photo_keys: bool = True
    polygons: PolygonKey = "both"


@dataclass(frozen=True, slots=True)
class TextFormats:
    """The formats of all texts of a checkpoint."""

    name: str = "plain"
    summary: SummaryFormat = SummaryFormat()
    verdict: VerdictFormat = VerdictFormat()
    caption: CaptionFormat = CaptionFormat()

    @property
    def hash(self) -> str:
        """The hash of everything but the name, 16 hex digits; rows keep it."""
        values = {key: value for key, value in asdict(self).items() if key != "name"}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


PLAIN: Final = TextFormats()
"""The formats of a checkpoint that names none."""
