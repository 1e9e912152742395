"""The form that a client asks an answer to keep to, in whichever of the fields it stands."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from llguidance.gbnf_to_lark import any_to_lark

from shenhe.errors import ItemError, item_wall
from shenhe.messages import FreeGrammar, Grammar
from shenhe.service.chat.protocol import ChatRequest, StructuredOutputs
from shenhe.service.refusals import RefusedError

Form = Grammar | FreeGrammar
OBJECT = '{"type": "object"}'


def form_of(chat: ChatRequest, longest: int) -> Form | None:
    """Find the form that an answer has to keep to; None for a free one.

    Units: `longest` grammar in characters.
    Raises: RefusedError for several at once, and for one that is too long, or none.

    >>> chat = ChatRequest.model_validate(
    ...     {"messages": [{"role": "user"}], "guided_choice": ["通过", "不通过"]})
    >>> form_of(chat, 1000)
    FreeGrammar(language='regex', source='通过|不通过')
    """
    written = chat.structured_outputs.grammar if chat.structured_outputs else None
    for grammar in (chat.guided_grammar, written):
        if len(grammar or "") > longest:  # before it is read, which takes long
            raise _too_long(longest)
    forms = [form for form in _forms(chat) if form is not None]
    if len(forms) > 1:
        raise RefusedError(400, "bad_field", "give one form of the answer, not several")
    for form in forms:
        size = len(form.source) if isinstance(form, FreeGrammar) else len(form.lark)
        if size > longest:
            raise _too_long(longest)
    return forms[0] if forms else None


def _too_long(longest: int) -> RefusedError:
    problem = f"the form of the answer is over {longest:,} characters"
    return RefusedError(413, "grammar_too_long", problem)


def _forms(chat: ChatRequest) -> list[Form | None]:
    sent, shown = chat.response_format, None
    if sent is not None and sent.type == "json_object":
        shown = _schema(OBJECT)
    elif sent is not None and sent.type == "json_schema":
        if sent.json_schema is None:
            raise RefusedError(400, "bad_field", "response_format: json_schema is missing")
        shown = _schema(sent.json_schema.schema_)
    own = chat.shenhe_grammar
    return [
        shown,
        _structured(chat.structured_outputs) if chat.structured_outputs else None,
        None if chat.guided_json is None else _schema(chat.guided_json),
        None if chat.guided_regex is None else FreeGrammar("regex", chat.guided_regex),
        None if chat.guided_choice is None else _choice(chat.guided_choice),
        None if chat.guided_grammar is None else _lark(chat.guided_grammar),
        None
        if own is None
        else Grammar(own.kind, own.lark, own.regex, own.photos, own.highest, is_foreign=True),
    ]


def _structured(sent: StructuredOutputs) -> Form:
    forms: list[Form] = []
    if sent.json_ is not None:
        forms.append(_schema(sent.json_))
    if sent.regex is not None:
        forms.append(FreeGrammar("regex", sent.regex))
    if sent.choice is not None:
        forms.append(_choice(sent.choice))
    if sent.grammar is not None:
        forms.append(_lark(sent.grammar))
    if sent.json_object:
        forms.append(_schema(OBJECT))
    if len(forms) != 1:
        problem = "structured_outputs: give one of json, regex, choice, grammar, json_object"
        raise RefusedError(400, "bad_field", problem)
    return forms[0]


def _schema(schema: str | dict[str, object]) -> FreeGrammar:
    text = schema if isinstance(schema, str) else json.dumps(schema, ensure_ascii=False)
    return FreeGrammar("json_schema", text)


def _choice(choices: Sequence[str]) -> FreeGrammar:
    if not choices:
        raise RefusedError(400, "bad_field", "a choice of nothing")
    return FreeGrammar("regex", "|".join(map(_escape, choices)))


def _escape(text: str) -> str:
    """Write a text as a regular expression; re.escape also writes what some libraries refuse."""
    escaped = re.sub(r"[\\.^$*+?{}\[\]|()]", r"\\\g<0>", text)
    return escaped.replace("\n", r"\n").replace("\r", r"\r").replace("\t", r"\t")


def _lark(grammar: str) -> FreeGrammar:
    """Take Lark as it is, and GBNF, as llama.cpp and vLLM's examples write it, as Lark."""
    try:
        with item_wall("bad_grammar", "the grammar"):
            return FreeGrammar("lark", any_to_lark(grammar))
    except ItemError as error:
        raise RefusedError(400, error.code, str(error)) from error
