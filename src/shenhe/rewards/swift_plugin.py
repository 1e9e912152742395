r"""The rewards as a plugin of ms-swift.

    swift rlhf --rlhf_type grpo --external_plugins "$(python -m shenhe.rewards.swift_plugin)" \
        --reward_funcs shenhe_verdict_format shenhe_verdict_right shenhe_reason_grounded ...

ms-swift imports this file by its path; run as a module it prints that path. The columns `label` and
`lines` of the data set are passed to the rewards unchanged. The formats of the model's texts are
those that the environment names: SHENHE_FORMATS=domain, or a TOML file; plain without it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from shenhe.config import load_formats
from shenhe.rewards import REWARDS, Completion


def register() -> None:
    """Add the rewards to ms-swift's table of names.

    Raises: ConfigError for formats that cannot be had.
    """
    from swift.rewards import ORM, orms

    formats = load_formats(os.environ.get("SHENHE_FORMATS", ""))

    def reward_class(reward: Callable[..., list[float]]) -> type:
        def call(self: object, completions: Sequence[Completion], **columns: object) -> list[float]:
            return reward(completions, **{**columns, "formats": formats})

        # ms-swift logs a reward by the name of its class.
        return type(reward.__name__, (ORM,), {"__call__": call})

    orms.update({name: reward_class(reward) for name, reward in REWARDS.items()})


if __name__ == "__main__":
    print(__file__)
else:
    register()
