"""The demo's missions by llama.cpp and by the local engine: rows compared, a line a stage.

    python -m bench.llama_cpp [--type f32|f16|q8_0] [--folder SOMEWHERE] [--captions]

The bundled checkpoint is merged, converted (`recipes.llama_cpp`) and served by `xllamacpp`, on one
thread; both engines then run both stages over all bundled photos, held to their formats. A row is
the same if all its lines are, or verdict and reason. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from recipes.llama_cpp.convert import convert
from shenhe.cli.main import exit_code
from shenhe.rows.keys import key_of
from tests.servers.llama_cpp import MODEL, llama_cpp

DEMO = Path(__file__).parent.parent / "src" / "shenhe" / "demo"
Rows = dict[str, dict[str, object]]


def main() -> None:
    """Run both engines, and print what differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--type", choices=("f32", "f16", "q8_0"), default="f32")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--captions", action="store_true")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp())
    merged = folder / "merged"
    call(
        *["merge", "--model", "demo", "--adapters", "demo", "--dtype", "float32", "--output-dir"],
        str(merged),
    )
    convert(str(merged), folder / "gguf", options.type)
    seconds = {"local": run(folder, "local", "--model", str(merged), "--dtype", "float32")}
    if options.captions:
        caption(folder, "local", "--model", str(merged), "--dtype", "float32")
    with llama_cpp(folder / "gguf") as served:
        server = ("--engine", "server", "--base-url", served.url, "--model", MODEL)
        seconds["llama.cpp"] = run(folder, "llama.cpp", *server)
        if options.captions:
            caption(folder, "llama.cpp", *server)
    print("| stage | rows | same | p_pass differs at most by |\n|---|---|---|---|")
    for stage, same in (("stage_a", ("per_image",)), ("stage_b", ("verdict", "reason"))):
        compare(stage, read(folder, "local", stage), read(folder, "llama.cpp", stage), same)
    if options.captions:
        local, served_rows = (read(folder, name, "captions") for name in seconds)
        compare("captions", local, served_rows, ("raw",))
    print(", ".join(f"{name}: {value:.1f} s" for name, value in seconds.items()))


def call(*arguments: str) -> None:
    """Run a command, which may leave groups undecided."""
    assert exit_code(arguments) in (0, 1), arguments


def run(folder: Path, name: str, *engine: str) -> float:
    """Run both stages. Units: seconds."""
    start = time.perf_counter()
    out = str(folder / name)
    call("run", "--data-root", str(DEMO / "photos"), "--output-dir", out, *engine)
    return time.perf_counter() - start


def caption(folder: Path, name: str, *engine: str) -> None:
    """Caption all photos."""
    out = folder / name / "captions" / "all.jsonl"
    call("caption", str(DEMO / "photos"), "--output", str(out), *engine)


def read(folder: Path, name: str, stage: str) -> Rows:
    """Read the rows of a stage by their keys."""
    rows: Rows = {}
    for path in sorted((folder / name / stage).glob("*.jsonl")):
        if path.name.endswith(".failures.jsonl"):
            continue
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            rows[f"{path.name} {key_of(row)}"] = row
    return rows


def compare(stage: str, local: Rows, served: Rows, names: tuple[str, ...]) -> None:
    """Print how many rows are the same in the values of some names."""
    assert local.keys() == served.keys(), local.keys() ^ served.keys()
    same, farthest = 0, 0.0
    for key, row in local.items():
        other = served[key]
        same += all(row[name] == other[name] for name in names)
        if isinstance(p := row.get("p_pass"), float) and isinstance(q := other["p_pass"], float):
            farthest = max(farthest, abs(p - q))
    print(f"| {stage} | {len(local)} | {same} | {farthest:.1e} |")


if __name__ == "__main__":
    main()
