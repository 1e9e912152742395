"""Ctrl-C in children of tests."""

from __future__ import annotations

import signal


def heed_interrupts() -> None:
    """Let a child be interrupted, for `preexec_fn`: what a shell starts with & ignores Ctrl-C, and
    so do its children unless they are told otherwise."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
