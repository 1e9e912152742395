"""Option classes as argparse's options, and parsed namespaces as instances of them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    Annotated,
    Final,
    Literal,
    NamedTuple,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from shenhe.cli import values
from shenhe.options import DECLARATION, Declaration, FileName, Section, Whole

Class = TypeVar("Class")
Reader = Callable[[str], object]
_MANY: Final = {"all": "extend", "each": "append", "last": "store"}


class Option(NamedTuple):
    """A declared option: the name, type and default of its field, its declaration and section."""

    name: str
    hint: object
    default: object
    declaration: Declaration
    section: Section

    @property
    def flags(self) -> list[str]:
        """The names on the command line; a positional argument has none."""
        if self.declaration.positional:
            return []
        flag = self.declaration.flag or f"--{self.name.replace('_', '-')}"
        return [flag, self.declaration.also] if self.declaration.also else [flag]

    @property
    def is_required(self) -> bool:
        """Whether the command needs it."""
        return self.default is MISSING

    @property
    def is_switch(self) -> bool:
        """Whether it is given without a value."""
        return _parts(self.hint) == [bool]

    @property
    def element(self) -> object:
        """The type of one value, where a tuple of them may be given."""
        return get_args(self.hint)[0] if self.takes_many else self.hint

    @property
    def takes_many(self) -> bool:
        """Whether it takes several values."""
        return get_origin(self.hint) is tuple

    @property
    def choices(self) -> tuple[str, ...]:
        """The words that it may be; none where it may be more than words."""
        parts = _parts(self.element)
        return get_args(parts[0]) if [get_origin(part) for part in parts] == [Literal] else ()

    @property
    def spelled_default(self) -> object:
        """The default as the command line has it: None where nothing stands for the option."""
        if self.default in (MISSING, "") or self.declaration.default_text == "":
            return None
        if self.takes_many and isinstance(self.default, tuple):
            return list(self.default)
        return self.declaration.default_text or self.default

    @property
    def metavar(self) -> str:
        """What stands for a value in the help."""
        return self.declaration.metavar or f"{{{','.join(self.choices)}}}"


def options_of(kind: type[object]) -> tuple[Option, ...]:
    """List the options of a class and of the classes in its fields, in the order of the help.

    A field that two classes inherit from one is one option.
    """
    options: list[Option] = []
    _collect(kind, Section(), options)
    return tuple(options)


def _collect(kind: type[object], section: Section, options: list[Option]) -> None:
    hints = get_type_hints(kind, include_extras=True)
    previous = section.after
    for field in fields(kind):  # type: ignore[arg-type]  # option classes are dataclasses
        declared = field.metadata.get(DECLARATION)
        if isinstance(declared, Section):
            inner = declared if declared.title else section._replace(after=declared.after)
            _collect(hints[field.name], inner, options)
        elif isinstance(declared, Declaration):
            names = [option.name for option in options]
            if field.name in names:
                continue
            after = declared.after or previous
            at = names.index(after) + 1 if after else len(options)
            beside = options[at - 1].section if after else section
            options.insert(
                at, Option(field.name, hints[field.name], field.default, declared, beside)
            )
            previous = field.name if previous and not declared.after else previous


def add_options(
    parser: argparse.ArgumentParser, kind: type[object], *, repeated: bool = False
) -> None:
    """Give a parser the options of a class, in the sections that the class declares.

    Options that are `repeated` have their defaults from a parser before this one.
    """
    # Readers of their own for options that name none, and for paths: no option can forget it.
    parser.register("type", None, values.text)
    parser.register("type", Path, values.path)
    groups: dict[str, argparse._ActionsContainer] = {"": parser}
    for option in options_of(kind):
        title = option.section.title
        if title not in groups:
            groups[title] = parser.add_argument_group(title, option.section.description)
        default = argparse.SUPPRESS if repeated else option.spelled_default
        _add_option(groups[title], option, default)


def _add_option(group: argparse._ActionsContainer, option: Option, default: object) -> None:
    declaration, names = option.declaration, option.flags
    how: dict[str, object] = {"help": declaration.help}
    if declaration.positional:
        names = [option.name]
        how |= {"nargs": "+"} if option.takes_many else {}
    else:
        how |= {"dest": option.name, "required": option.is_required, "default": default}
        if option.is_switch:
            group.add_argument(*names, action=argparse.BooleanOptionalAction, **how)  # type: ignore[arg-type]
            return
        if option.takes_many:
            how |= {"action": _MANY[declaration.gathering]}
            how |= {} if declaration.gathering == "each" else {"nargs": "+"}
        if declaration.const is not None:
            how |= {"nargs": "?", "const": declaration.const}
    if option.choices:
        how |= {"choices": option.choices}
    else:
        how |= {"type": _reader(option.element)}
    if declaration.metavar:
        how |= {"metavar": declaration.metavar}
    group.add_argument(*names, **how)  # type: ignore[arg-type]  # argparse checks them


def read_options(kind: type[Class], namespace: argparse.Namespace) -> Class:
    """Make an instance of an option class of what was parsed."""
    hints = get_type_hints(kind, include_extras=True)
    chosen: dict[str, object] = {}
    for field in fields(kind):  # type: ignore[arg-type]  # option classes are dataclasses
        declared = field.metadata.get(DECLARATION)
        if isinstance(declared, Section):
            chosen[field.name] = read_options(hints[field.name], namespace)
        elif isinstance(declared, Declaration):
            value = getattr(namespace, field.name)
            if value is None and field.default is not MISSING:
                continue  # the field's own default
            chosen[field.name] = tuple(value) if isinstance(value, list) else value
    return kind(**chosen)


def _parts(hint: object) -> list[object]:
    """Split a union into its types; None is none of them."""
    union = get_origin(hint) in (Union, UnionType)
    return [part for part in (get_args(hint) if union else (hint,)) if part is not NoneType]


def _reader(hint: object) -> Reader | type[object] | None:
    """Find the reader of a type; None reads a text. Words of a Literal stand for themselves."""
    parts = _parts(hint)
    words = list(_words(parts))
    (plain,) = (part for part in parts if get_origin(part) is not Literal)
    read = _plain_reader(plain)
    return values.either(words, read) if words and callable(read) else read


def _words(parts: list[object]) -> Iterator[str]:
    for part in parts:
        if get_origin(part) is Literal:
            yield from (word for word in get_args(part) if isinstance(word, str))


def _plain_reader(hint: object) -> Reader | type[object] | None:
    if hint is str:
        return None
    if hint is float:
        return values.number
    if get_origin(hint) is Annotated:
        mark = get_args(hint)[1]
        if isinstance(mark, Whole):
            return values.whole(mark.minimum, mark.maximum)
        return values.name if isinstance(mark, FileName) else _as_reader(mark)
    return hint if isinstance(hint, type) else None


def _as_reader(mark: object) -> Reader:
    if not callable(mark):
        raise TypeError(f"{mark!r} reads no value")
    return mark
