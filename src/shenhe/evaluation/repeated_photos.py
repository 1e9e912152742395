"""Photos that stand more than once in captions or truth: alike they count once, unlike never."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from shenhe.errors import spelled
from shenhe.locations import Location
from shenhe.values import Annotation


@dataclass(slots=True)
class RepeatedPhotos:
    """Photos that stand more than once: how many further times alike, and a fault for each other.

    repeated = RepeatedPhotos()
    truth = list(repeated.once(read_annotations(path), "truth"))
    """

    alike: int = 0
    faults: list[str] = field(default_factory=list)

    def once(self, annotations: Iterable[Annotation], source: str) -> Iterator[Annotation]:
        """Yield each photo once, in the order in which they come first.

        Of a photo with unlike objects nobody knows which ones are meant: it is left out.
        """
        first: dict[Location, Annotation] = {}
        unlike: dict[Location, None] = {}
        for annotation in annotations:
            if (before := first.get(annotation.image)) is None:
                first[annotation.image] = annotation
            elif Counter(before.objects) == Counter(annotation.objects):
                self.alike += 1
            else:
                unlike[annotation.image] = None
        self.faults += [
            f"{photo}: stands more than once in {spelled(source)}, with unlike objects: none of"
            " them count"
            for photo in unlike
        ]
        yield from (each for image, each in first.items() if image not in unlike)
