"""The text formats that a checkpoint was trained on, as values: what its answers look like.

`config.formats` makes them of TOML. Grammars, parsers, renderers and checks take one of these.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final, Literal

from shenhe.values import FAIL, PASS

PolygonKey = Literal["quad", "poly", "both"]
"""Keys that polygons are written under: `quad` (four corners), `poly` with `poly_points`, or a quad
for four corners and a poly for any other number."""
DOMAIN_FIELD: Final = "{domain}"
NUMBER_FIELD: Final = "{n}"


@dataclass(frozen=True, slots=True)
class SummaryFormat:
    """The form of a Stage-A answer.

    `keyed` answers are JSON, {"图片_1": "line"}, of which the line is the value; the first of
    `keys` is written, each of them is read, and {n} is the number of the photo. A `json` answer is
    one JSON object on one line, and is kept as JSON. `header` is a first line before either, as
    `<DOMAIN={domain}>, <TASK=SUMMARY>` with one of `domains`. A photo with nothing relevant is
    无关图片 in each of them, without a header.
    """

    wrapper: Literal["line", "keyed", "json"] = "line"
    keys: tuple[str, ...] = ("图片_{n}", "image_{n}")
    header: str = ""
    domains: tuple[str, ...] = ()

    @property
    def headers(self) -> tuple[str, ...]:
        """The first lines that an answer may have; none without a header."""
        return _fill_header(self.header, self.domains)


@dataclass(frozen=True, slots=True)
class VerdictFormat:
    r"""The two lines of a verdict: a mark and one of two words, then a mark and a reason.

    The first of `verdict_marks` and of `reason_marks` is written, each of them is read. Blank lines
    between the two, and behind them, are read where `blank_lines` says so.

        >>> VerdictFormat(verdict_marks=("Verdict: ",)).openings
        ('Verdict: 通过', 'Verdict: 不通过')
    """

    pass_word: str = PASS
    fail_word: str = FAIL
    verdict_marks: tuple[str, ...] = ("",)
    reason_marks: tuple[str, ...] = ("理由: ",)
    blank_lines: bool = False

    @property
    def openings(self) -> tuple[str, str]:
        """The first lines that are written: of a pass, and of a fail."""
        mark = self.verdict_marks[0]
        return mark + self.pass_word, mark + self.fail_word


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

    @property
    def headers(self) -> tuple[str, ...]:
        """The first lines that an answer may have; none without a header."""
        return _fill_header(self.header, self.domains)


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

    @property
    def decisive_options(self) -> dict[str, str]:
        """The hash as manifests hold it; nothing for plain, as before there were formats."""
        return {} if self.hash == PLAIN.hash else {"formats": self.hash}


PLAIN: Final = TextFormats()
"""The formats of a checkpoint that names none."""


def _fill_header(header: str, domains: Sequence[str]) -> tuple[str, ...]:
    filled = (header.replace(DOMAIN_FIELD, domain) for domain in domains or ("",))
    return tuple(dict.fromkeys(filled)) if header else ()
