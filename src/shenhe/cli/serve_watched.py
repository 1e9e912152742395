"""`shenhe serve --watch`: groups of a photo tree that are judged as they come."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from shenhe.cli.values import PhotoLocation
from shenhe.errors import OptionError
from shenhe.options import option, option_class

if TYPE_CHECKING:
    from shenhe.config import Missions
    from shenhe.service.store import JobStore


@option_class
class WatchedOptions:
    """A photo tree whose groups are handed in as they come."""

    watch: PhotoLocation | None = option(
        "judge the groups of a photo tree as they come, where they lie; a folder, or a URL",
        default=None,
        metavar="DATA_ROOT",
    )
    watch_quiet: float = option(
        "a group is complete when nothing of it has changed for so long, or when a file .complete"
        " lies in its folder",
        default=30.0,
        metavar="SECONDS",
    )

    def check(self) -> None:
        """Refuse a time that is none.

        Raises: OptionError.
        """
        if not 0 <= self.watch_quiet < math.inf:
            raise OptionError("watch_quiet", self.watch_quiet, "must be 0 or more")


@contextmanager
def watching(
    options: WatchedOptions, store: JobStore, missions: Missions, wake: Callable[[], object]
) -> Iterator[Callable[[], str]]:
    """Watch the tree that the options name, if any, meanwhile; gives what says why it cannot be.

    Raises: IntakeError if there is no such folder.
    """
    from shenhe.service.watched import Watcher

    if options.watch is None:
        yield str
        return
    watcher = Watcher(store, options.watch, missions, options.watch_quiet, wake)
    watcher.start()
    try:
        yield lambda: watcher.problem
    finally:
        watcher.stop()
