"""shenhe (审核, "review"): reviews site-inspection photos with fine-tuned Qwen3-VL models."""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.2.0"

if TYPE_CHECKING:
    from shenhe.api import Model, Reply, Summary, Verdict, load

__all__ = ["Model", "Reply", "Summary", "Verdict", "__version__", "load"]


def __getattr__(name: str) -> object:
    """Import the API only when it is used: `shenhe --help` must not wait for torch."""
    if name in __all__:
        from shenhe import api

        return getattr(api, name)
    raise AttributeError(f"module 'shenhe' has no attribute {name!r}")
