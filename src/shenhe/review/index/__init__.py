"""The groups of a run in the order of the queue, in SQLite beside the decisions.

It is built from the rows, and built again whenever they have changed.
"""

from shenhe.review.index.audits import AuditEntry, AuditProgress, AuditQueue
from shenhe.review.index.comparison import CHANGES, Comparison, MissionComparison, PairedGroup
from shenhe.review.index.filters import ALL, LABELS, QUEUES, SORTS, STATES, VERDICTS, Filters
from shenhe.review.index.groups import GroupRows, History, Progress, QueueEntry
from shenhe.review.index.paging import Cursor
from shenhe.review.index.pairs import TwoOpinions
from shenhe.review.index.queries import Index
from shenhe.review.index.seconds import SecondEntry, SecondQueue

__all__ = [
    "ALL",
    "CHANGES",
    "LABELS",
    "QUEUES",
    "SORTS",
    "STATES",
    "VERDICTS",
    "AuditEntry",
    "AuditProgress",
    "AuditQueue",
    "Comparison",
    "Cursor",
    "Filters",
    "GroupRows",
    "History",
    "Index",
    "MissionComparison",
    "PairedGroup",
    "Progress",
    "QueueEntry",
    "SecondEntry",
    "SecondQueue",
    "TwoOpinions",
]
