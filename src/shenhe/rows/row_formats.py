"""The text formats that a row's answers were written in, as its meta names them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache

from pydantic_core import to_jsonable_python

from shenhe.config.formats import formats_by_hash, read_verdict_format
from shenhe.errors import ConfigError
from shenhe.formats.text_formats import PLAIN, TextFormats, VerdictFormat
from shenhe.row_types import FormatsMeta
from shenhe.rows.fields import object_of


@lru_cache(maxsize=16)
def formats_meta(formats: TextFormats) -> FormatsMeta:
    """Name formats as rows do; those that are not built in with the form of their verdicts.

    >>> formats_meta(PLAIN).name
    'plain'
    """
    built_in = formats_by_hash().get(formats.hash)
    if built_in is not None:
        return FormatsMeta(name=built_in.name, hash=formats.hash)
    verdict = to_jsonable_python(asdict(formats.verdict))
    return FormatsMeta(name=formats.name, hash=formats.hash, verdict=verdict)


def decisive_formats_of(meta: Mapping[str, object]) -> dict[str, object]:
    """Give the option of formats of the meta of a row, as manifests have it; none for plain.

    >>> decisive_formats_of({"formats": {"name": "house", "hash": "1f2e"}})
    {'formats': '1f2e'}
    """
    named = object_of(meta, "formats").get("hash")
    return {"formats": named} if named and named != PLAIN.hash else {}


def show_formats(value: object) -> str:
    """Name formats in a message: `value` is their option in a manifest, or None for plain.

    >>> show_formats(None)
    'plain'
    """
    if not isinstance(value, str) or value == PLAIN.name:
        return PLAIN.name
    built_in = formats_by_hash().get(value)
    return f"{built_in.name} ({value})" if built_in else value


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
