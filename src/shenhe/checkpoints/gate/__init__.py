"""The one gate for adapters and their bases: load, merge, verify and doctor all ask it.

Plain LoRA is judged by names and shapes alone; everything else by what PEFT itself makes of it, for
which PEFT and transformers are imported (3 s, 0.2 GB).
"""

from __future__ import annotations

from collections.abc import Sequence

from shenhe.checkpoints.gate.admitted import (
    AdmittedAdapter,
    PeftAdapter,
    refuse_lost_tensors,
    refuse_together,
)
from shenhe.checkpoints.gate.history import refuse_applied_twice
from shenhe.checkpoints.gate.plain_lora import admit_plain_lora
from shenhe.checkpoints.gate.quantisation import refuse_quantised
from shenhe.checkpoints.inspect import CheckpointFiles
from shenhe.errors import needs

__all__ = [
    "AdmittedAdapter",
    "PeftAdapter",
    "admit_adapters",
    "admit_for_peft",
    "refuse_quantised",
    "refuse_together",
]


def admit_adapters(
    base: CheckpointFiles, adapters: Sequence[CheckpointFiles]
) -> Sequence[AdmittedAdapter]:
    """Admit adapters in order, or refuse the first one that is at fault.

    No weights of the base are read, those of the adapters once.

        admit_adapters(find_checkpoint("base"), [find_adapter("adapter")])

    Raises: AdapterError in one line that names the fault and the remedy; CheckpointError if the
    base is at fault.
    """
    refuse_applied_twice(base, adapters)
    admitted = []
    for files in adapters:
        adapter = admit_plain_lora(base, files)
        if adapter is None:
            return admit_for_peft(base, adapters)
        admitted.append(adapter)
    return admitted


def admit_for_peft(base: CheckpointFiles, adapters: Sequence[CheckpointFiles]) -> list[PeftAdapter]:
    """Admit adapters like `admit_adapters`, with what PEFT needs to load them.

        admit_for_peft(find_checkpoint("base"), [find_adapter("adapter")])[0].config

    Raises: AdapterError, CheckpointError; UsageError where PEFT is not installed.
    """
    if not adapters:
        return []
    refuse_applied_twice(base, adapters)
    with needs("local"):
        from shenhe.checkpoints.gate.admission import admit_by_peft  # PEFT and transformers

    admitted = [admit_by_peft(base, files) for files in adapters]
    refuse_lost_tensors(admitted)
    return admitted
