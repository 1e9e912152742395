"""From the command line to an exit code: the one place where errors become messages."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import NoReturn

from shenhe.cli.parser import SWIFT_COMMANDS, Parser, build_parser, normalized
from shenhe.errors import ShenheError
from shenhe.printable import PrintableFormatter, show


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit."""
    sys.exit(exit_code(sys.argv[1:] if argv is None else argv))


def exit_code(argv: Sequence[str]) -> int:
    """Run a command and give its exit code: 0, 1, 2 or 130."""
    _prepare_streams()
    parser = build_parser()
    options = _parsed(parser, normalized(list(argv), parser))
    from shenhe.cli import commands

    try:
        return commands.COMMANDS[options.command](options)
    except KeyboardInterrupt:
        _say("interrupted: what was written is valid; the same command goes on from there")
        return 130
    except BrokenPipeError:
        # The reader of our output is gone: there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2
    except ShenheError as error:
        if options.debug:
            show(traceback.format_exc(), file=sys.stderr)
        _say(str(error))
        return 2
    except Exception as error:
        if options.debug:
            show(traceback.format_exc(), file=sys.stderr)
        _say(f"internal error: {type(error).__name__}: {error} (--debug shows where)")
        return 2


def _parsed(parser: Parser, argv: list[str]) -> argparse.Namespace:
    """Parse; options of ms-swift that mean nothing here are named, not refused."""
    if not argv or argv[0] not in SWIFT_COMMANDS:
        return parser.parse_args(argv)
    options, unknown = parser.parse_known_args(argv)
    if unknown:
        _say(f"warning: these options mean nothing here and are ignored: {' '.join(unknown)}")
    return options


def _say(message: str) -> None:
    show(f"shenhe: {' '.join(message.split())}", file=sys.stderr)


def _prepare_streams() -> None:
    """Write UTF-8 whatever the locale says, and warnings as one line each."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    if logging.lastResort is not None:  # where warnings go that are logged without a handler
        logging.lastResort.setFormatter(PrintableFormatter())
    # Broken metadata is no reason to refuse the pixels, nor to speak of it.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    warnings.showwarning = lambda message, *_, **__: _say(f"warning: {message}")
