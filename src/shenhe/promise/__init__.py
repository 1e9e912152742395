"""Thresholds that keep a bound on false passes, audits that check it, and the alarm."""

from shenhe.promise.propose import Proposal, Terms, propose, write_proposal
from shenhe.promise.tables import PromiseTable, promise_tables
from shenhe.promise.threshold import Goal, choose_threshold
from shenhe.promise.words import describe, describe_goal

__all__ = [
    "Goal",
    "PromiseTable",
    "Proposal",
    "Terms",
    "choose_threshold",
    "describe",
    "describe_goal",
    "promise_tables",
    "propose",
    "write_proposal",
]
