"""The options of the command line as messages write them: --max-pixels, --quantize int4."""

from __future__ import annotations

from dataclasses import fields
from typing import Final

from shenhe.engines.options import VllmOptions
from shenhe.options import DECLARATION, Declaration

_DECLARED: Final = {
    field.name: declaration.flag
    for field in fields(VllmOptions)
    if isinstance(declaration := field.metadata.get(DECLARATION), Declaration) and declaration.flag
}
"""Flags of another form than their fields: only vLLM's options have one."""


def on_the_command_line(name: str, value: object = None) -> str:
    """Write an option as it is given on the command line.

    >>> on_the_command_line("quantize", "int4"), on_the_command_line("constrain", False)
    ('--quantize int4', '--no-constrain')
    """
    flag = _DECLARED.get(name) or f"--{name.replace('_', '-')}"
    if value is False:
        return f"--no-{flag[2:]}"
    return flag if value is None or value is True else f"{flag} {value}"
