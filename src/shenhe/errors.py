"""Everything that can go wrong, as one tree.

    ShenheError                 a system error: the command stops, says what to do, exits 2
    ├── UsageError              an argument that cannot be honoured
    │   └── OptionError         an option that cannot be honoured
    ├── ConfigError             a mission or prompt file that is wrong
    ├── IntakeError             a photo tree or a list that cannot be read
    ├── CheckpointError         a checkpoint that is missing, incomplete or unsafe
    │   └── AdapterError        an adapter that does not fit its base
    ├── EngineError             an engine that died or refused to start
    ├── RunError                an output folder that cannot be used
    │   ├── OutputBusyError     another process writes to it
    │   ├── RowError            a line of a rows file that is no row of its kind
    │   │   └── DamagedRowError one that cannot be read at all
    │   ├── OptionsChangedError it was begun with other options
    │   ├── DatabaseAwayError   its database does not answer
    │   └── ConflictError       somebody else has decided the same group meanwhile
    ├── GeometryError           coordinates that describe nothing
    └── ItemError               one item's error: becomes a Failure row, the run goes on
        ├── PhotoError          a photo that cannot be read
        └── FormatError         a text that does not keep its format

Every ItemError carries a `code`, the stable word that stands in failure rows.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

MAX_FOREIGN_CHARACTERS: Final = 300
"""The length that the message of a foreign library is cut to."""


class ShenheError(Exception):
    """Root of the tree; its text is one line that names the thing and what to do."""

    def __reduce__(self) -> tuple[Callable[..., ShenheError], tuple[object, ...]]:
        """Pickle an error whatever it is made from: a driver reports the errors of its workers."""
        return _restore, (type(self), self.args, self.__dict__)


def _restore(
    kind: type[ShenheError], args: tuple[object, ...], state: dict[str, object]
) -> ShenheError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class UsageError(ShenheError):
    """An argument that cannot be honoured."""


Spelling = Callable[[str, object], str]
"""Writes an option as its user does: the name of its field, and a value or None."""


def in_python(name: str, value: object = None) -> str:
    """Write an option as a keyword argument.

    >>> in_python("max_pixels"), in_python("quantize", "int4")
    ('max_pixels', "quantize='int4'")
    """
    if value is None:
        return name
    return f"{name}={value if isinstance(value, int | float) else str(value)!r}"


_spelling: list[Spelling] = [in_python]


def spelled(name: str, value: object = None) -> str:
    """Write an option as whoever reads the message does: in Python, or on the command line.

    Messages name fields, and this is how they do: spelled("max_pixels") is `max_pixels`, and
    `--max-pixels` where the command line runs.
    """
    return _spelling[-1](name, value)


def current_spelling() -> Spelling:
    """How options are written now: for processes that write messages on behalf of this one."""
    return _spelling[-1]


def spell_by(spelling: Spelling) -> None:
    """Have options written in one way from now on, in a process that works for another."""
    _spelling.append(spelling)


@contextmanager
def spelling(spelling: Spelling) -> Iterator[None]:
    """Have options spelled in one way meanwhile, in all threads of the process."""
    _spelling.append(spelling)
    try:
        yield
    finally:
        _spelling.remove(spelling)


class OptionError(UsageError):
    """An option that cannot be honoured: its field, its value where that matters, the problem.

    Example:
        raise OptionError("quantize", "int4", "use int8")

    """

    def __init__(self, name: str, value: object, problem: str) -> None:
        super().__init__(name, value, problem)
        self.name, self.value, self.problem = name, value, problem

    def __str__(self) -> str:
        """Write it in one line: `quantize='int4': use int8`, or `--quantize int4: use int8`."""
        return f"{spelled(self.name, self.value)}: {self.problem}"


def closest(word: str, names: Iterable[str]) -> str | None:
    """Find the name that a misspelled word may be meant for, or None.

    >>> closest("rum", ["run", "report"])
    'run'
    """
    import difflib  # only misspelled words need it

    matches = difflib.get_close_matches(word, list(names), n=1, cutoff=0.65)
    return matches[0] if matches else None


@contextmanager
def needs(extra: str, prefix: str = "") -> Iterator[None]:
    """Name the extra of this package that a missing module comes with.

    Raises: UsageError, whose message begins with `prefix`.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{prefix}{error.name} is not installed; pip install 'shenhe[{extra}]'"
        ) from error


class ConfigError(ShenheError):
    """A mission or prompt file that is missing, malformed or incomplete."""


class IntakeError(ShenheError):
    """A photo tree or a list of photos that cannot be read."""


class CheckpointError(ShenheError):
    """A checkpoint that is missing, incomplete or unsafe to load."""


class AdapterError(CheckpointError):
    """An adapter that does not fit its base; names every key that does not."""


class EngineError(ShenheError):
    """An engine that died or refused to start."""


class RunError(ShenheError):
    """An output folder that cannot be used."""


class OutputBusyError(RunError):
    """Another process writes to the same output."""


class RowError(RunError):
    """A line of a rows file that is no row of its kind; `number` counts from 1."""

    def __init__(self, path: Path, number: int, problem: str, remedy: str = "") -> None:
        super().__init__(f"{path}: line {number} {problem}{remedy}")
        self.path, self.number, self.problem = path, number, problem


class DamagedRowError(RowError):
    """A line of a rows file that cannot be read.

    A `zeroed` line holds zero bytes, as a power cut leaves them.
    """

    def __init__(self, path: Path, number: int, problem: str, *, zeroed: bool = False) -> None:
        remedy = f"; mend or remove it, or have `shenhe fsck {path.parent}` set it aside"
        super().__init__(path, number, problem, remedy)
        self.zeroed = zeroed


class OptionsChangedError(RunError):
    """The output was begun with other options."""


class DatabaseAwayError(RunError):
    """The database of a team does not answer, or not now; the same works when it does again."""


class ConflictError(RunError):
    """Somebody else has decided the same group meanwhile; `key` is the group's."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


class GeometryError(ShenheError):
    """Coordinates that describe no box, polygon or line."""


class ItemError(ShenheError):
    """One item's error: the run records it as a Failure and goes on."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class PhotoError(ItemError):
    """A photo that cannot be read."""


class FormatError(ItemError):
    """A text that does not keep its format; `code` says which rule it breaks."""


@contextmanager
def item_wall(
    code: str,
    item: object,
    error_type: type[ItemError] = ItemError,
    passing: tuple[type[Exception], ...] = (),
) -> Iterator[None]:
    """Turn any exception of a foreign library over one item into the error of that item.

    An exception over one photo, answer or row costs that item alone. The project's own errors
    pass unchanged; so do Ctrl-C and a full disk, which would hit every item, and the exceptions
    in `passing`, which a caller handles.
    Raises: `error_type` with `code`, or with `out_of_memory` if memory ran out.

        with item_wall("unreadable", path, PhotoError):
            image = Image.open(path)
    """
    try:
        yield
    except (ShenheError, GeneratorExit):
        raise
    except passing:
        raise
    except MemoryError as error:
        raise error_type("out_of_memory", f"{item}: not enough memory") from error
    except BaseException as error:
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        problem = " ".join(str(error).split())[:MAX_FOREIGN_CHARACTERS]
        raise error_type(code, f"{item}: {type(error).__name__}: {problem}") from error


def is_panic(error: BaseException) -> bool:
    """Whether an exception is the panic of a Rust library, which is no Exception for pyo3."""
    return type(error).__module__ == "pyo3_runtime"
