"""What the lines of a group show of its mission, and whether a reason contradicts a 通过. Pure."""

from shenhe.stages.evidence.contradiction import find_contradiction
from shenhe.stages.evidence.findings import check, codes, describe

__all__ = ["check", "codes", "describe", "find_contradiction"]
