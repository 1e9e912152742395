"""The text formats that a row's answers were written in, as its meta names them."""

from __future__ import annotations

from dataclasses import asdict
from functools import lru_cache

from pydantic import JsonValue, TypeAdapter

from shenhe.config.formats import formats_by_hash, read_verdict_format
from shenhe.errors import ConfigError
from shenhe.formats.text_formats import PLAIN, TextFormats, VerdictFormat
from shenhe.row_types import FormatsMeta

_JSON = TypeAdapter(dict[str, JsonValue])


@lru_cache(maxsize=16)
def formats_meta(formats: TextFormats) -> FormatsMeta:
    """Name formats as rows do; those that are not built in with the form of their verdicts.

    >>> formats_meta(PLAIN).name
    'plain'
    """
    built_in = formats_by_hash().get(formats.hash)
    if built_in is not None:
        return FormatsMeta(name=built_in.name, hash=formats.hash)
    verdict = _JSON.validate_python(asdict(formats.verdict))
    return FormatsMeta(name=formats.name, hash=formats.hash, verdict=verdict)


def verdict_format_of(meta: FormatsMeta) -> VerdictFormat | None:
    """Give the form of the verdict of a row; None if nobody knows it.

    >>> verdict_format_of(FormatsMeta()).reason_marks
    ('理由: ',)
    """
    if not meta.hash:
        return PLAIN.verdict
    built_in = formats_by_hash().get(meta.hash)
    if built_in is not None:
        return built_in.verdict
    try:
        return read_verdict_format(meta.verdict) if meta.verdict is not None else None
    except ConfigError:
        return None
