"""What is known of how an adapter and its base came to be: nothing is applied a second time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from shenhe.checkpoints.companions import PROVENANCE, merged_fingerprints
from shenhe.checkpoints.inspect import CheckpointFiles, fingerprint, read_object
from shenhe.checkpoints.trainer_args import ARGS, read_trainer_args
from shenhe.errors import AdapterError, CheckpointError

_NAMES: Final[Mapping[str, str]] = {
    "r": "lora_rank",
    "lora_alpha": "lora_alpha",
    "use_rslora": "use_rslora",
    "use_dora": "use_dora",
}
"""Names in an adapter's configuration, and in the arguments that ms-swift writes beside it."""


def refuse_applied_twice(base: CheckpointFiles, adapters: Sequence[CheckpointFiles]) -> None:
    """Refuse an adapter that the base holds already, by the record of its merge.

    Raises: AdapterError; CheckpointError for a record that cannot be read.
    """
    record = read_object(base.folder / PROVENANCE, CheckpointError)
    merged = set(merged_fingerprints(record))
    for files in adapters if merged else ():
        if fingerprint(files) in merged:
            raise AdapterError(
                f"{files.folder}: is merged into {base.folder} already ({PROVENANCE}), and would"
                " count twice: leave it out, or name the base that it was trained on"
            )


def find_differences(
    base: CheckpointFiles, files: CheckpointFiles, values: Mapping[str, object]
) -> Iterator[str]:
    """Yield what of an adapter's configuration its training did otherwise, by its args.json.

    A checkpoint that ms-swift has merged has the args.json of the adapter that is in it.
    Raises: CheckpointError for an args.json that cannot be read.
    """
    args = read_trainer_args(files.folder)
    if args is None:
        return
    trained = read_object(args.path, CheckpointError)
    told = [
        f"{name} is {values.get(name)}, {ARGS} says {trained[arg]}"
        for name, arg in _NAMES.items()
        if trained.get(arg) is not None and _differ(values.get(name), trained[arg])
    ]
    if told:
        yield (
            f"{files.folder}: {'; '.join(told)}: it would be applied otherwise than it was trained;"
            " take the adapter_config.json that was saved with the weights"
        )
    of_base = base.folder / ARGS
    if of_base.is_file() and of_base.read_bytes() == args.path.read_bytes():
        yield (
            f"{files.folder}: the base {base.folder} has its {ARGS}: it seems to hold this adapter,"
            " or another one of that training, merged already, which would count twice"
        )


def _differ(value: object, trained: object) -> bool:
    """Whether two numbers or switches differ; what is neither says nothing."""
    if not isinstance(value or 0, int | float) or not isinstance(trained, int | float):
        return False
    return not math.isclose(float(value or 0), float(trained), rel_tol=1e-9)  # type: ignore[arg-type]
