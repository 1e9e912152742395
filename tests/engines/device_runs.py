"""Processes with workers, to be killed.

    python -m tests.engines.device_runs [ROWS]

Writes rows into a file; without one prints the workers' process ids, and answers for ever.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from shenhe.engines.devices import DevicesEngine
from shenhe.messages import Answer, Request
from shenhe.runs.run import OutputSpec, RunOptions, run
from tests.engines.device_engines import BATCH_SIZE, ask, over
from tests.runs.text_stage import LanguageWork, Texts


def texts_of(rows: Path) -> dict[str, str]:
    """Questions for rows: after some, all workers wait for a file; the last kills a worker once."""
    texts = {f"g{number}": "slow" for number in range(60)}
    texts |= {f"w{number}": f"wait {rows.with_name('go')}" for number in range(4 * BATCH_SIZE)}
    texts |= {f"h{number}": "slow" for number in range(60)}
    return texts | {"z": f"once kill {rows.with_name('killed')}"}


def write_rows(engine: DevicesEngine, rows: Path) -> None:
    """Write a row for each question."""
    run(engine, LanguageWork(Texts(texts_of(rows)), "c"), OutputSpec(rows, RunOptions()))


def main() -> None:
    engine = over()
    if sys.argv[1:]:
        write_rows(engine, Path(sys.argv[1]))
        return
    answers = engine.answer(_endless())
    pids = [answer.text for answer in islice(answers, 8) if isinstance(answer, Answer)]
    print(*sorted(set(pids)), flush=True)
    for _ in answers:
        pass


def _endless() -> Iterator[Request]:
    return (ask(str(number), "slow") for number in range(10**9))


if __name__ == "__main__":
    main()
