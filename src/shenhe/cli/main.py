"""From the command line to an exit code: the only place that turns errors into messages."""

from __future__ import annotations

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NoReturn

from shenhe.cli.command_line import language_on, parse
from shenhe.cli.flags import on_the_command_line
from shenhe.errors import ShenheError, is_panic, spelled, spelling
from shenhe.files import DISK_FULL
from shenhe.languages import Language, speaking
from shenhe.printable import PrintableFormatter, show, show_data, wording
from shenhe.secrecy import Secrets


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit."""
    sys.exit(exit_code(sys.argv[1:] if argv is None else argv))


def exit_code(argv: Sequence[str]) -> int:
    """Run a command and give its exit code: 0, 1, 2 or 130."""
    language = language_on(argv)
    with spelling(on_the_command_line), speaking(language), _wording_of(language):
        return _exit_code(argv)


def _wording_of(language: Language | None) -> AbstractContextManager[None]:
    """Translate messages where Chinese is spoken; code writes them in English."""
    if language != "zh":
        return nullcontext()
    from shenhe.cli.message_catalogue import in_chinese

    return wording(in_chinese)


def _exit_code(argv: Sequence[str]) -> int:
    secrets = Secrets.of(*argv)
    _prepare_streams(secrets)
    line = parse(argv)
    if line.ignored:
        _say(f"warning: these options mean nothing here and are ignored: {line.ignored}", Secrets())
    try:
        return line.run(line.options)
    except KeyboardInterrupt:
        _say("interrupted: what was written is valid; the same command goes on from there", secrets)
        return 130
    except BrokenPipeError:
        # The reader of our output is gone: there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2
    except BaseException as error:
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        if line.debug:
            _show_traceback(secrets)
        _say(_describe(error, line.name.split()[0]), secrets)
        return 2


def _describe(error: BaseException, command: str) -> str:
    """Describe an error in a line that says what to do."""
    if isinstance(error, ShenheError):
        return str(error)
    if isinstance(error, OSError):
        remedy = "; free space, then run it again" if error.errno in DISK_FULL else ""
        return f"{error.filename or command}: {error.strerror or error}{remedy}"
    return f"internal error: {type(error).__name__}: {error} ({spelled('debug')} shows where)"


def _say(message: str, secrets: Secrets) -> None:
    show(f"shenhe: {' '.join(secrets.hide(message).split())}", file=sys.stderr)


def _show_traceback(secrets: Secrets) -> None:
    show_data(secrets.hide(traceback.format_exc()), file=sys.stderr, end="")


def _prepare_streams(secrets: Secrets) -> None:
    """Write UTF-8 whatever the locale says, and warnings as one line each."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    if logging.lastResort is not None:  # the handler of warnings that have no other
        logging.lastResort.setFormatter(PrintableFormatter())
    # Broken metadata does not affect the pixels.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    warnings.showwarning = lambda message, *_, **__: _say(f"warning: {message}", secrets)
