"""The text formats that a checkpoint was trained on: built-in ones by name, or a TOML file."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from shenhe.config.toml_file import read_toml
from shenhe.errors import ConfigError, closest
from shenhe.formats.text_formats import (
    DOMAIN_FIELD,
    CaptionFormat,
    PolygonKey,
    SummaryFormat,
    TextFormats,
    VerdictFormat,
)
from shenhe.values import FAIL, PASS

BUILT_IN: Final = ("plain", "keyed", "domain")
"""Names of the built-in formats, each a file `formats_NAME.toml` here."""
_SAYS_FAIL: Final = frozenset(
    (
        *(FAIL, f"审核{FAIL}", "不合格", "未通过", "不過", "不通過", "拒绝", "驳回", "需复核"),
        *("fail", "failed", "no", "false", "ng", "reject", "rejected"),
    )
)
_DENIED: Final = (FAIL, "不合格", "未通过", "不通過", "notpass", "notpassed")
_SAYS_PASS: Final = frozenset((PASS, f"审核{PASS}", "合格", "pass", "passed", "yes", "true"))
_UNSEEN: Final = frozenset(("Cc", "Cf", "Zl", "Zp"))
"""Categories of characters that nobody sees, or that turn the order of what is seen."""


def _folded(text: str) -> str:
    """Give a text without what readers may not see: width, case, blanks."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


def _one_line(text: str) -> str:
    if len(text.splitlines()) > 1 or any(unicodedata.category(c) in _UNSEEN for c in text):
        raise ValueError(f"{text!r} is more than a line, or holds a control character")
    if "<|" in text:
        raise ValueError(f"{text!r} holds a special token")
    return text


def _seen(text: str) -> str:
    if not text.strip():
        raise ValueError("a text that nobody can see stands for nothing; leave the key out")
    return text


def _all_different(texts: tuple[str, ...]) -> tuple[str, ...]:
    twice = next((text for index, text in enumerate(texts) if text in texts[:index]), None)
    if twice is not None:
        raise ValueError(f"{twice!r} stands twice")
    return texts


OneLine = Annotated[str, AfterValidator(_one_line)]
Seen = Annotated[OneLine, AfterValidator(_seen)]
Texts = Annotated[tuple[OneLine, ...], Field(min_length=1), AfterValidator(_all_different)]
SeenTexts = Annotated[tuple[Seen, ...], Field(min_length=1), AfterValidator(_all_different)]


class _Table(BaseModel):
    """A table of the file; blanks at the ends of its texts count."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class _Headed(_Table):
    """A table with a header line."""

    header: OneLine = ""
    domains: tuple[Seen, ...] = ()

    @model_validator(mode="after")
    def _check_header(self) -> Self:
        _all_different(self.domains)
        if self.header.strip() != self.header:
            raise ValueError("header: blanks at its ends cannot be seen")
        if self.header and self.header[0] in "{[\"'":
            raise ValueError(f"header: {self.header!r} could be taken for JSON")
        if (DOMAIN_FIELD in self.header) is not bool(self.domains):
            raise ValueError(f"header names {DOMAIN_FIELD} exactly if there are domains")
        return self


class _SummaryTable(_Headed):
    wrapper: Literal["line", "keyed", "json"] = "line"
    keys: SeenTexts | None = None

    @model_validator(mode="after")
    def _check_keys(self) -> Self:
        if self.keys is not None and self.wrapper != "keyed":
            raise ValueError('keys are those of wrapper = "keyed"')
        return self

    def value(self) -> SummaryFormat:
        """Make the format."""
        kept = {"keys": self.keys} if self.keys is not None else {}
        return SummaryFormat(self.wrapper, header=self.header, domains=self.domains, **kept)


class _VerdictTable(_Table):
    pass_word: Seen = PASS
    fail_word: Seen = FAIL
    verdict_marks: Texts = ("",)
    reason_marks: SeenTexts = VerdictFormat().reason_marks
    blank_lines: bool = False

    @model_validator(mode="after")
    def _check_words(self) -> Self:
        for name in ("pass_word", "fail_word"):
            if getattr(self, name).strip() != getattr(self, name):
                raise ValueError(f"{name}: blanks at its ends cannot be seen")
        passed, failed = map(_folded, (self.pass_word, self.fail_word))
        if failed in passed:
            raise ValueError(f"pass_word {self.pass_word!r} holds the fail_word {self.fail_word!r}")
        if failed.startswith(passed):
            raise ValueError(f"fail_word {self.fail_word!r} begins with the pass_word")
        if passed in _SAYS_FAIL or failed in _SAYS_PASS:
            raise ValueError(f"pass_word {self.pass_word!r}, fail_word {self.fail_word!r}: swapped")
        return self

    @model_validator(mode="after")
    def _check_marks(self) -> Self:
        passes = {_folded(mark + self.pass_word) for mark in self.verdict_marks}
        fails = {_folded(mark + self.fail_word) for mark in self.verdict_marks}
        if both := passes & fails:
            raise ValueError(f"verdict_marks: {min(both)!r} would be a pass and a fail")
        if says_fail := sorted(filter(self._says_fail, passes)):
            raise ValueError(f"verdict_marks: {says_fail[0]!r} would be a pass")
        if telling := sorted(filter(self._tells_verdict, self.reason_marks)):
            raise ValueError(f"reason_marks: {telling[0]!r} holds a verdict")
        for mark in self.reason_marks:
            for longer in self.reason_marks:
                if longer != mark and longer.startswith(mark) and longer[len(mark) :].strip():
                    raise ValueError(f"reason_marks: {longer!r} begins with {mark!r}")
        return self

    def _says_fail(self, opening: str) -> bool:
        """Whether a first line that would be a pass ends as a fail does, its mark included."""
        return opening in _SAYS_FAIL or opening.endswith((*_DENIED, _folded(self.fail_word)))

    def _tells_verdict(self, mark: str) -> bool:
        """Whether a mark holds a word of verdicts: what it says would be in no reason."""
        return any(_folded(word) in _folded(mark) for word in (self.pass_word, self.fail_word))

    def value(self) -> VerdictFormat:
        """Make the format."""
        return VerdictFormat(
            self.pass_word,
            self.fail_word,
            self.verdict_marks,
            self.reason_marks,
            self.blank_lines,
        )


class _CaptionTable(_Headed):
    photo_keys: bool = True
    polygons: PolygonKey = "both"

    def value(self) -> CaptionFormat:
        """Make the format."""
        return CaptionFormat(self.header, self.domains, self.photo_keys, self.polygons)


class _FormatsFile(_Table):
    schema_: Literal[1] = Field(alias="schema")
    summary: _SummaryTable = _SummaryTable()
    verdict: _VerdictTable = _VerdictTable()
    caption: _CaptionTable = _CaptionTable()


def load_formats(formats: str | Path | TextFormats = "") -> TextFormats:
    """Load the formats of a built-in name, or of a TOML file; without either, plain.

    Raises: ConfigError for an unknown name, or a file that is malformed or ambiguous.

        >>> load_formats("domain").verdict.openings
        ('Verdict: 通过', 'Verdict: 不通过')
    """
    if isinstance(formats, TextFormats):
        return formats
    name = str(formats) or BUILT_IN[0]
    if name in BUILT_IN:
        return _built_in(name)
    path = Path(name)
    if path.suffix != ".toml" and not path.exists():
        match = closest(name, BUILT_IN)
        hint = "" if match is None else f"did you mean {match}? "
        raise ConfigError(
            f"unknown formats {name!r}: {hint}use one of {', '.join(BUILT_IN)}, or a TOML file"
        )
    return _load(path, path.stem)


def read_verdict_format(values: object) -> VerdictFormat:
    """Read the form of verdicts, as the table [verdict] of a file has it.

    Raises: ConfigError.

        >>> read_verdict_format({"verdict_marks": ["Verdict: "]}).openings
        ('Verdict: 通过', 'Verdict: 不通过')
    """
    try:
        return _VerdictTable.model_validate(values).value()
    except ValidationError as error:
        raise ConfigError(f"the form of verdicts: {error.errors()[0]['msg']}") from error


@cache
def formats_by_hash() -> Mapping[str, TextFormats]:
    """Give the built-in formats by the hashes that rows have of them.

    >>> [formats.name for formats in formats_by_hash().values()]
    ['plain', 'keyed', 'domain']
    """
    return {formats.hash: formats for formats in map(_built_in, BUILT_IN)}


@cache
def _built_in(name: str) -> TextFormats:
    return _load(Path(__file__).with_name(f"formats_{name}.toml"), name)


def _load(path: Path, name: str) -> TextFormats:
    content = read_toml(path, _FormatsFile)
    return TextFormats(
        name, content.summary.value(), content.verdict.value(), content.caption.value()
    )
