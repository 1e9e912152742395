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
"""What several uses of an option of several values give: those of the last use, one value of each
use, or all values of all uses."""
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
    """What the command line and the reference know of a field beside its name, type and default.

    `flag` stands for a name of another form than the field's; `after` names the field behind which
    it stands in the help, where the order of declaration is another. `const` is the value of an
    option that is given without one.
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
    repr: bool = True,
    **how: Any,
) -> object:
    """Declare an option; one without a default is required.

    Example:
        seed: Seed = option("seed of sampling", default=0, metavar="N")

    """
    return field(default=default, repr=repr, metadata={DECLARATION: Declaration(help, **how)})


def argument(metavar: str | None, help: str) -> Any:
    """Declare a positional argument; of a tuple it takes one value or several."""
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
