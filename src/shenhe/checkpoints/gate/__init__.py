"""The one gate for adapters and their bases: load, merge, verify and doctor all ask it."""

from shenhe.checkpoints.gate.admission import AdmittedAdapter, admit_adapters, refuse_together
from shenhe.checkpoints.gate.quantisation import refuse_quantised

__all__ = ["AdmittedAdapter", "admit_adapters", "refuse_quantised", "refuse_together"]
