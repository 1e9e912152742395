"""The options of the command line as messages write them: --max-pixels, --quantize int4."""

from __future__ import annotations

from functools import cache


def on_the_command_line(name: str, value: object = None) -> str:
    """Write an option as it is given on the command line.

    >>> on_the_command_line("quantize", "int4"), on_the_command_line("constrain", False)
    ('--quantize int4', '--no-constrain')
    """
    flag = _declared_flags().get(name) or f"--{name.replace('_', '-')}"
    if value is False:
        return f"--no-{flag[2:]}"
    return flag if value is None or value is True else f"{flag} {value}"


@cache
def _declared_flags() -> dict[str, str]:
    """Find the flags of another form than their fields: only options of vLLM have one."""
    from shenhe.cli.options import options_of
    from shenhe.engines.options import VllmOptions

    return {option.name: option.flags[0] for option in options_of(VllmOptions)}
