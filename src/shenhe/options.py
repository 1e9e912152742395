"""Declarations of options: the fields of frozen dataclasses, with their types, defaults and help.

An option is declared once, as a field of an option class. Python code makes the class and reads its
fields; the command line makes its parser of the same fields; the reference is written from them.

    @option_class
    class ReportOptions:
        run_dir: Path = argument("RUN_DIR", "what `run` wrote")
        max_groups: Count = option("show at most so many groups", default=500, metavar="N")
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    NamedTuple,
    TypeVar,
    dataclass_transform,
    overload,
)

Value = TypeVar("Value")
Class = TypeVar("Class")
Gathering = Literal["last", "each", "all"]
"""Where an option of several values is used more than once: the values of the last use count, each
use has one value, or all values of all uses count."""
DECLARATION: Final = "declaration"
"""The key of a field's metadata under which its declaration stands."""
MAX_COUNT: Final = 2**31 - 1
"""The largest count: beyond it lie slips of the hand, and what other libraries cannot hold."""


class Whole(NamedTuple):
    """Marks a whole number within bounds, both included."""

    minimum: int
    maximum: int = MAX_COUNT


class FileName(NamedTuple):
    """Marks the name of a file or folder, which may stand for something else, as demo does."""


Count = Annotated[int, Whole(1)]
Name = Annotated[str, FileName()]


class Declaration(NamedTuple):
    """The facts of an option beside the name, type and default of its field.

    `flag` replaces a flag made of the field's name, `also` is a second one. In the help the option
    stands behind the option `after`, else in the order of declaration. `const` is the value of an
    option that is given without one. `default_text` is the default as the command line shows it;
    empty: it shows none.
    """

    help: str
    metavar: str | None = None
    flag: str | None = None
    also: str | None = None
    after: str | None = None
    default_text: str | None = None
    gathering: Gathering = "all"
    const: object = None
    positional: bool = False


class Section(NamedTuple):
    """A field that holds another option class: its options stand in a section of the help."""

    title: str = ""
    description: str | None = None
    after: str | None = None


@overload
def option(
    help: str,
    *,
    default: Value,
    metavar: str | None = None,
    flag: str | None = None,
    also: str | None = None,
    after: str | None = None,
    default_text: str | None = None,
    gathering: Gathering = "all",
    const: object = None,
    repr: bool = True,
) -> Value: ...


@overload
def option(help: str, *, metavar: str | None = None, gathering: Gathering = "all") -> Any: ...


def option(
    help: str,
    *,
    default: object = MISSING,
    metavar: str | None = None,
    flag: str | None = None,
    also: str | None = None,
    after: str | None = None,
    default_text: str | None = None,
    gathering: Gathering = "all",
    const: object = None,
    repr: bool = True,
) -> object:
    """Declare an option; one without a default is required.

    Example:
        seed: int = option("seed of sampling", default=0, metavar="N")

    """
    declaration = Declaration(
        help, metavar, flag, also, after, default_text, gathering, const, positional=False
    )
    return field(default=default, repr=repr, metadata={DECLARATION: declaration})


def argument(metavar: str | None, help: str) -> Any:
    """Declare a positional argument; a field that is a tuple takes one value or several."""
    return field(metadata={DECLARATION: Declaration(help, metavar, positional=True)})


@overload
def section(
    title: str = "", description: str | None = None, *, after: str | None = None, default: Value
) -> Value: ...


@overload
def section(
    title: str = "", description: str | None = None, *, after: str | None = None
) -> Any: ...


def section(
    title: str = "",
    description: str | None = None,
    *,
    after: str | None = None,
    default: object = MISSING,
) -> object:
    """Declare a field whose options stand in a section of their own, or, untitled, among others."""
    return field(default=default, metadata={DECLARATION: Section(title, description, after)})


@dataclass_transform(
    kw_only_default=True, frozen_default=True, field_specifiers=(option, argument, section, field)
)
def option_class(kind: type[Class]) -> type[Class]:
    """Make a class of options of an annotated one: a frozen dataclass, made by keywords alone."""
    return dataclass(frozen=True, kw_only=True, slots=True)(kind)
