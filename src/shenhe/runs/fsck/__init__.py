"""Checks of a run's files against each other, and their repair; nothing is deleted."""

from shenhe.runs.fsck.faults import Fault
from shenhe.runs.fsck.folder import check_run

__all__ = ["Fault", "check_run"]
