"""Is what a run wrote whole, and of one piece; what can be made anew is, and nothing is deleted."""

from shenhe.runs.fsck.faults import Fault
from shenhe.runs.fsck.folder import check_run

__all__ = ["Fault", "check_run"]
