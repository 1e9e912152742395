"""Finished verdict rows decided anew, without a model."""

from shenhe.runs.decide.changes import UNDECIDED, Changes
from shenhe.runs.decide.files import VerdictFile, decide_file, find_verdict_files
from shenhe.runs.decide.folder import DecideFolder

__all__ = [
    "UNDECIDED",
    "Changes",
    "DecideFolder",
    "VerdictFile",
    "decide_file",
    "find_verdict_files",
]
