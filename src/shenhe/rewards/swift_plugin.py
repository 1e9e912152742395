r"""The rewards as a plugin of ms-swift.

    swift rlhf --rlhf_type grpo --external_plugins "$(python -m shenhe.rewards.swift_plugin)" \
        --reward_funcs shenhe_verdict_format shenhe_verdict_right shenhe_reason_grounded ...

ms-swift imports this file by its path; run as a module it prints that path. The columns `label` and
`lines` of the data set are passed to the rewards unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shenhe.rewards import REWARDS, Completion


def register() -> None:
    """Add the rewards to ms-swift's table of names."""
    from swift.rewards import ORM, orms

    def reward_class(reward: Callable[..., list[float]]) -> type:
        def call(self: object, completions: Sequence[Completion], **columns: object) -> list[float]:
            return reward(completions, **columns)

        # ms-swift logs a reward by the name of its class.
        return type(reward.__name__, (ORM,), {"__call__": call})

    orms.update({name: reward_class(reward) for name, reward in REWARDS.items()})


if __name__ == "__main__":
    print(__file__)
else:
    register()
