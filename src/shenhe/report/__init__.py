"""A run folder -> one self-contained HTML page, and acceptance sheets of it."""

from shenhe.report.page import write_report
from shenhe.report.reading import MissionTotals
from shenhe.report.tally import RunReading, read_run

__all__ = ["MissionTotals", "RunReading", "read_run", "write_report"]
