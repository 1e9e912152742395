"""A run folder -> one self-contained HTML page."""

from shenhe.report.page import write_report
from shenhe.report.tally import MissionTally, RunReading, read_run

__all__ = ["MissionTally", "RunReading", "read_run", "write_report"]
