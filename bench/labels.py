"""Labels in doubt: how many looks the review app asks for, and what they spare people.

    python -m bench.labels [--runs 200]

In drawn worlds a share of the labels is wrong, both ways. Somebody who knows the truth looks at
groups that people failed and the model passes, the surest first, for as long as the page of that
queue says that more looks are worth it; a promise is made before and after the wrong ones are left
out. Prints a table in Markdown; "left" is the share of all groups that the model passes and the
promise leaves to people.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from bench.worlds import Flags, Groups, World
from shenhe.promise.threshold import Goal, choose_threshold
from shenhe.review.routes.queue import LAST_ANSWERS

SHARES = (0.0, 0.02, 0.05, 0.1)
GOAL = Goal(0.05)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    options = parser.parse_args(arguments)
    print("| wrong labels | looks, median (95 of 100) | wrong ones found | left before | after |")
    print("|---|---|---|---|---|")
    for share in SHARES:
        world, chance = World("", flipped=share), np.random.default_rng(1)
        looks, found, before, after = np.array(
            [_look(world.draw(chance)) for _ in range(options.runs)]
        ).T
        print(
            f"| {share:.0%} | {np.median(looks):.0f} ({np.quantile(looks, 0.95):.0f})"
            f" | {np.median(found):.0f} | {before.mean():.1%} | {after.mean():.1%} |",
            flush=True,
        )


def _look(groups: Groups) -> tuple[int, int, float, float]:
    """Give the looks, the wrong labels found, and what is left to people before and after."""
    in_doubt = np.flatnonzero(groups.failed & (groups.log_odds >= 0))
    queue = in_doubt[np.argsort(-groups.log_odds[in_doubt])]
    answers: list[bool] = []
    for number in queue:
        answers.append(not groups.bad[number])
        if len(answers) >= LAST_ANSWERS and not any(answers[-LAST_ANSWERS:]):
            break
    wrong = queue[: len(answers)][np.array(answers, bool)]
    excluded = np.isin(np.arange(len(groups.bad)), wrong)
    everything = np.ones_like(excluded)
    return len(answers), len(wrong), _left(groups, everything), _left(groups, ~excluded)


def _left(groups: Groups, counted: Flags) -> float:
    """Give what is left to people of all groups where a promise is made on some of them."""
    slips = groups.log_odds[counted & groups.failed & (groups.log_odds >= 0)]
    failed = int((counted & groups.failed).sum())
    return groups.left_to_people(choose_threshold(slips.tolist(), failed, GOAL))


if __name__ == "__main__":
    main()
