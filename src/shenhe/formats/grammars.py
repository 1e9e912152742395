"""The formats as grammars: a constrained model cannot write anything else.

Lines and verdicts, in Lark as llguidance reads it; `caption_grammar` has that of captions.
"""

from __future__ import annotations

from functools import lru_cache

from shenhe.formats import json_grammar, summary
from shenhe.formats.lark import alternatives, escaped, literal, portable, regex_of_any
from shenhe.formats.summary import NOTHING_RELEVANT
from shenhe.formats.text_formats import PLAIN, SummaryFormat, VerdictFormat
from shenhe.messages import Grammar

MAX_LINE, MAX_REASON = 600, 400
"""Units: characters."""
_BREAKS = r"\x00-\x1f\x7f\x85\u2028\u2029"
_NO_TOKEN = rf"<+[^{_BREAKS}<|]"
"""A `<` and the character behind it: no special token can be spelled."""


@lru_cache(maxsize=16)
def of_summary(form: SummaryFormat = PLAIN.summary) -> Grammar:
    """Return the grammar of answers that `summary.parse` accepts."""
    body, rules, regex = _summary_body(form)
    if not form.header:
        return Grammar("summary", f"start: {body}\n{rules}", portable(regex))
    start = f"({alternatives(form.headers)}) {literal(chr(10))} {body}"
    start += f" | {literal(NOTHING_RELEVANT)}"
    regex = f"(({regex_of_any(form.headers)})\\n{regex}|{NOTHING_RELEVANT})"
    return Grammar("summary", f"start: {start}\n{rules}", portable(regex))


def _summary_body(form: SummaryFormat) -> tuple[str, str, str]:
    """Return what stands below a header: the start of a grammar, its rules, a regex of all."""
    if form.wrapper == "json":
        return json_grammar.START, json_grammar.RULES, json_grammar.REGEX
    # Text inside JSON is held to characters that need no escape, and spell no JSON of their own.
    line = _line(r"""{}"'\\""" if form.wrapper == "keyed" else "")
    rule = f"LINE: /{line}/\n"
    if form.wrapper == "line":
        return "LINE", rule, line
    opening = f'{{"{summary.key_of(form, 1)}":'
    start = f'{literal(opening)} " "? {literal(chr(34))} LINE {literal(chr(34) + "}")}'
    return start, rule, rf'{escaped(opening)} ?"{line}"\}}'


def _line(further: str) -> str:
    """Return a regular expression of a line without coordinates, and without further characters."""
    number = r"[0-9]+(\.[0-9]+)?"
    # Brackets may hold one number, and no second one.
    open_brackets = rf"([\[(（][ \u3000]*({number}[ \u3000]*)?)+"
    no_token = rf"<+[^{_BREAKS}{further}<|]"
    behind = rf"([^{_BREAKS}{further}<\[(（0-9 \u3000.,，]|{no_token})"
    item = rf"([^{_BREAKS}{further}<\[(（]|{no_token}|{open_brackets}{behind})"
    first = rf"([^{_BREAKS}{further}<\[(（ \u3000]|{no_token}|{open_brackets}{behind})"
    return f"{first}{item}{{0,{MAX_LINE - 1}}}({open_brackets})?"


@lru_cache(maxsize=16)
def of_verdict(form: VerdictFormat = PLAIN.verdict) -> Grammar:
    """Return the grammar of the two lines that `verdict.parse` accepts, with the first marks."""
    first, item = (rf"([^{_BREAKS}<{blank}]|{_NO_TOKEN})" for blank in (r" \u3000", ""))
    reason = f"{first}{item}{{0,{MAX_REASON - 1}}}"
    mark = form.reason_marks[0]
    rules = [
        f'start: ({alternatives(form.openings)}) {literal(chr(10) + mark)} REASON "\\n"?',
        f"REASON: /{reason}/",
    ]
    regex = portable(rf"({regex_of_any(form.openings)})\n{escaped(mark)}{reason}")
    return Grammar("verdict", "\n".join(rules) + "\n", regex)
