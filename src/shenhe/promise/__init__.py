"""Thresholds that keep a bound on false passes, audits that check it, and the alarm."""

from shenhe.promise.propose import Proposal, Terms, propose, write_proposal
from shenhe.promise.threshold import Goal, choose_threshold
from shenhe.promise.words import describe

__all__ = [
    "Goal",
    "Proposal",
    "Terms",
    "choose_threshold",
    "describe",
    "propose",
    "write_proposal",
]
