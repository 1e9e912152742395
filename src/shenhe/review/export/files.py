"""The files that a review exports, by their names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from shenhe.files import whole_file
from shenhe.review.export.captions import UNKNOWN_DESCS, caption_rows, write_unknown_descs
from shenhe.review.export.contents import DecidedGroups, ExportFile, Prompting
from shenhe.review.export.exclusions import write_keys, write_rows, write_sheet
from shenhe.review.export.sheets import write_csv, write_jsonl, write_xlsx
from shenhe.review.export.training import stage_a_rows, stage_b_rows
from shenhe.review.index import Index

_SHEETS: dict[str, Callable[[DecidedGroups], ExportFile]] = {
    "decisions.csv": write_csv,
    "decisions.xlsx": write_xlsx,
    "decisions.jsonl": write_jsonl,
    "excluded.txt": write_keys,
    "excluded.csv": write_sheet,
    "excluded.jsonl": write_rows,
}
_TRAINING: dict[str, Callable[[DecidedGroups, Prompting, Counter[str]], Iterator[str]]] = {
    "stage_a.jsonl": stage_a_rows,
    "stage_b.jsonl": stage_b_rows,
    "captions.jsonl": caption_rows,
}
EXPORTS = {
    "decisions.csv": "text/csv; charset=utf-8",
    "decisions.xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "decisions.jsonl": "application/x-ndjson",
    "excluded.txt": "text/plain; charset=utf-8",
    "excluded.csv": "text/csv; charset=utf-8",
    UNKNOWN_DESCS: "text/csv; charset=utf-8",
    **dict.fromkeys(("excluded.jsonl", *_TRAINING), "application/x-ndjson"),
}
"""Media types of the files by their names."""


def make_export(name: str, index: Index, prompting: Prompting) -> ExportFile:
    """Make one of the files in `EXPORTS`.

        count = make_export("decisions.csv", index, prompting).rows

    Raises: RunError if decisions or rows cannot be read.
    """
    groups = (
        (decision, index.group_by_key(decision.key)) for decision in index.current_decisions()
    )
    left_out: Counter[str] = Counter()
    if outdated := index.count_outdated():
        left_out["the photos have changed since it was decided"] = outdated
    if name in _SHEETS or name == UNKNOWN_DESCS:
        is_list = name == UNKNOWN_DESCS
        sheet = write_unknown_descs(groups, prompting) if is_list else _SHEETS[name](groups)
        return replace(sheet, left_out=sheet.left_out + left_out)
    lines = list(_TRAINING[name](groups, prompting, left_out))
    return ExportFile("".join(f"{line}\n" for line in lines).encode(), len(lines), left_out)


def write_exports(folder: Path, index: Index, prompting: Prompting) -> dict[Path, ExportFile]:
    """Write all files to a folder, and give them by their paths.

        for path, export in write_exports(Path("decisions"), index, prompting).items():
            print(path, export.rows)

    Raises: RunError if they cannot be written, or decisions or rows cannot be read.
    """
    exports = {}
    for name in EXPORTS:
        export, path = make_export(name, index, prompting), folder / name
        with whole_file(path) as partial_path:
            partial_path.write_bytes(export.content)
        exports[path] = export
    return exports
