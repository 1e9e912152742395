"""What an operator does with a service beside serving: backups, and how long photos are kept."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from shenhe.errors import OptionError, spelled
from shenhe.options import Count, option, option_class
from shenhe.printable import show

if TYPE_CHECKING:
    from shenhe.service.backup import Backup
    from shenhe.service.store import JobStore


@option_class
class UpkeepOptions:
    """Backups of a service, and how long photos are kept."""

    keep_days: Count | None = option(
        "delete the photos of a group so many days after its verdict; rows are kept",
        default=None,
        metavar="N",
    )
    backup: Path | None = option(
        "write jobs, rows and decisions to a file, also while it serves, and leave; photos are"
        " listed in it, not copied",
        default=None,
        metavar="FILE",
    )
    restore: Path | None = option(
        "put back what a backup holds, where no service is, and leave", default=None, metavar="FILE"
    )

    @property
    def is_a_command(self) -> bool:
        """Whether something is to be done instead of serving."""
        return self.backup is not None or self.restore is not None


def maintain(options: UpkeepOptions, data_dir: Path, url: str) -> int:
    """Write or restore a backup; 1 if a photo is missing that a job names.

    Raises: OptionError for both at once, or where jobs lie in PostgreSQL; RunError.
    """
    from shenhe.service.backup import restore_backup, write_backup

    if options.backup is not None and options.restore is not None:
        problem = f"give it in a command of its own, without {spelled('backup')}"
        raise OptionError("restore", options.restore, problem)
    if options.backup is not None:
        backup = write_backup(data_dir, url, options.backup)
        photos = data_dir / "photos"
        show(f"{options.backup}: {backup.jobs} jobs; copy {photos} too", file=sys.stderr)
        return _tell_missing(backup)
    assert options.restore is not None
    backup = restore_backup(options.restore, data_dir, url)
    show(f"{data_dir}: {backup.jobs} jobs are back; start the service", file=sys.stderr)
    return _tell_missing(backup)


def keep_photos(
    options: UpkeepOptions, store: JobStore, data_dir: Path
) -> AbstractContextManager[None]:
    """Have photos deleted meanwhile that no job has, and those too old where that is asked for."""
    from shenhe.service.leftovers import Leftovers
    from shenhe.service.retention import Retention, keeping

    leftovers = Leftovers(store, data_dir)
    if options.keep_days is None:
        return keeping(leftovers)
    return keeping(leftovers, Retention(store, data_dir, options.keep_days))


def _tell_missing(backup: Backup) -> int:
    if backup.missing:
        line = f"{backup.missing} of {backup.photos} photos are not where their jobs name them"
        show(line, file=sys.stderr)
    return 1 if backup.missing else 0
