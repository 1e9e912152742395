"""How large photos are for a model that runs elsewhere, and who says so."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

from shenhe.errors import EngineError, spelled
from shenhe.messages import Request
from shenhe.photos import PixelBudget

log = logging.getLogger("shenhe.server")


@dataclass(frozen=True, slots=True)
class PhotoBudget:
    """The budget that photos are resized to, and where it comes from; nowhere: it is a guess.

    `room` is a limit of the server that photos may exceed, `refusal` why it takes none, in words.

    Example:
        PhotoBudget(PixelBudget(65_536, 1_003_520), "--processor Qwen3-VL-4B-Instruct")

    """

    bounds: PixelBudget = field(default_factory=PixelBudget)
    source: str = ""
    room: str = ""
    refusal: str = ""

    def lowered(self, max_pixels: int | None) -> PhotoBudget:
        """Return the same with another upper bound, where an option gives one."""
        if max_pixels is None:
            return self
        bounds = PixelBudget(min(self.bounds.min_pixels, max_pixels), max_pixels)
        sources = [spelled("max_pixels", max_pixels), *([self.source] if self.source else [])]
        return replace(self, bounds=bounds, source=", ".join(sources))

    @property
    def described(self) -> str:
        """The bounds in words.

        >>> PhotoBudget().described
        '65,536 to 1,003,520 pixels'
        """
        return f"{self.bounds.min_pixels:,} to {self.bounds.max_pixels:,} pixels"

    @property
    def remedy(self) -> str:
        """What to do about a budget that is a guess."""
        return (
            f"name the checkpoint's folder by {spelled('processor', 'DIR')} (its"
            " preprocessor_config.json is enough), or its budget by"
            f" {spelled('max_pixels', 'N')}"
        )

    @property
    def warnings(self) -> list[str]:
        """What is wrong with the budget, a line each; nothing as a rule."""
        lines = [self.room] if self.room else []
        if not self.source:
            lines.insert(
                0,
                "the server does not tell which size of photos its checkpoint was trained on;"
                f" they are resized to {self.described}, and lines may be plausible and wrong:"
                f" {self.remedy}",
            )
        return lines


class BudgetWarning:
    """Says once what is wrong with a budget, when the first photo is sent."""

    def __init__(self, budget: PhotoBudget | None) -> None:
        self._lines = budget.warnings if budget is not None else []
        self._refusal = budget.refusal if budget is not None else ""

    def note(self, request: Request) -> None:
        """Warn if a request has a photo, and none had one before.

        Raises: EngineError if the server takes no photos.
        """
        if not (self._lines or self._refusal) or not request.photos:
            return
        if self._refusal:
            raise EngineError(self._refusal)
        lines, self._lines = self._lines, []
        for line in lines:
            log.warning("%s", line)

    def noting(self, requests: Iterable[Request | None]) -> Iterator[Request | None]:
        """Pass requests on, each noted as it is taken."""
        for request in requests:
            if request is not None:
                self.note(request)
            yield request


@runtime_checkable
class TellsBudget(Protocol):
    """An engine whose budget is not that of the checkpoint that it has loaded itself."""

    budget: PhotoBudget | None


def budget_of(engine: object) -> PhotoBudget | None:
    """Return the budget of an engine; None if its checkpoint is its own."""
    return engine.budget if isinstance(engine, TellsBudget) else None
