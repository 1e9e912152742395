"""What reading labels leaves behind beside the annotations: photos that failed, what was lost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from shenhe.errors import IntakeError


@dataclass(slots=True)
class Reading:
    """Faults, one line each, of rows or photos that could not be read; the others go on.

    `lost` counts what the source holds and an annotation cannot, by a description.

        reading = Reading()
        annotations = list(read_annotations(Path("truth.jsonl"), reading))
        print(reading.faults, reading.lost)
    """

    faults: list[str] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)

    def note(self, where: str, problem: object) -> None:
        """Note a row or photo that cannot be read."""
        self.faults.append(f"{where}: {problem}")


class Strict(Reading):
    """Reading that ends at the first fault.

    Example:
        annotations = list(read_labels(folder, "labelme", Strict()))

    """

    def note(self, where: str, problem: object) -> None:
        """Refuse a row or photo that cannot be read.

        Raises: IntakeError.
        """
        raise IntakeError(f"{where}: {problem}")
