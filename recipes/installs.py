"""Does what resolves work? The demo on the lowest versions that are allowed, and on the newest.

    python -m recipes.installs lowest    # .installs/lowest, some 6 GB
    python -m recipes.installs newest

Both are asked of one interpreter, the one that runs this. Run by `make test-install`; not in CI, as
each downloads gigabytes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
EXTRAS = ("int8", "metrics", "parquet", "s3", "ray")
"""All that go into one environment; vLLM wants a torch of its own."""
MISSION = "挡风板安装检查"
_FLOOR = re.compile(r"([\w.-]+)(?:\[[\w,-]+\])?>=([\w.]+)")


def requirements(extras: Iterable[str]) -> list[str]:
    """List what the package asks for, with some of its extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    return [*project["dependencies"], *(one for extra in extras for one in optional[extra])]


def floors(needed: Iterable[str]) -> list[str]:
    """Hold each requirement to its lowest version.

    Raises: ValueError for one that has none.

    floors(["openai[aiohttp]>=3.50"]) == ["openai==3.50"]
    """
    pinned = []
    for requirement in needed:
        floor = _FLOOR.match(requirement)
        if floor is None:
            raise ValueError(f"{requirement}: has no lowest version")
        pinned.append(f"{floor[1]}=={floor[2]}")
    return pinned


def main(which: str) -> None:
    """Make an environment and run the demo and each extra in it; the first failure ends it."""
    folder = ROOT / ".installs" / which
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pins = floors(requirements(EXTRAS)) if which == "lowest" else []
    constraints = folder / "constraints.txt"
    constraints.write_text("".join(f"{pin}\n" for pin in pins), encoding="utf-8")
    pip = [str(folder / "bin" / "pip"), "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "-c", str(constraints), f"{ROOT}[{','.join(EXTRAS)}]"], check=True)
    try_out(folder)
    print(f"{which} of Python {sys.version.split()[0]}: all done", flush=True)


def try_out(folder: Path) -> None:
    """Run the demo, and what each extra brings, in an environment."""
    run_dir, out = folder / "demo", folder / "out"
    model = ["--model", "demo", "--adapters", "demo", "--dtype", "float32"]
    photos = _site_packages(folder) / "shenhe" / "demo" / "photos" / MISSION
    _shenhe(folder, "demo", "--output-dir", run_dir)
    verdicts = [
        json.loads(line)
        for path in sorted((run_dir / "stage_b").glob("*.jsonl"))
        if not path.name.endswith(".failures.jsonl")
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    false_passes = sum(v["verdict"] == "通过" and v["label"] == "fail" for v in verdicts)
    undecided = sum(v["status"] == "undecided" for v in verdicts)
    if (len(verdicts), undecided, false_passes) != (24, 1, 0):
        raise SystemExit(f"{len(verdicts)} verdicts, {undecided} undecided, {false_passes} wrong")
    captions = ["caption", photos, *model, "--parquet", "--metrics-port", "9479", "--traces"]
    _shenhe(folder, *captions, "--quantize", "int8", "--output", out / "int8.jsonl")
    _shenhe(folder, *captions, "--engine", "ray", "--ray-workers", 1, "--output", out / "ray.jsonl")
    _shenhe(folder, "convert", out / "ray.jsonl", "--format", "coco", "--output", out / "coco.json")
    _shenhe(
        folder, "merge", "--model", "demo", "--adapters", "demo", "--output-dir", out / "merged"
    )
    _shenhe(folder, "review", run_dir, "--export", out / "review")
    _shenhe(folder, "evaluate", "verdicts", run_dir, "--html", out / "verdicts.html")
    with _server(folder) as address:
        server = ["--engine", "server", "--base-url", address, "--model", "scripted"]
        rows = run_dir / "stage_a" / f"{MISSION}.jsonl"
        _shenhe(folder, "judge", *server, "--stage-a", rows, "--output-dir", out / "asked")
    # Nobody listens there: what counts is that the file system loads, and says so in one line.
    told = _shenhe(
        folder, *captions[:1], "s3://b/p.jpg", *model, "--output", out / "s3.jsonl", code=2
    )
    if "internal error" in told or "Traceback" in told:
        raise SystemExit(told)


def _shenhe(folder: Path, *words: object, code: int = 0) -> str:
    """Run a command and give what it said on stderr; another exit code ends it all."""
    command = [str(folder / "bin" / "shenhe"), *map(str, words)]
    print("shenhe", *command[1:], flush=True)
    nobody = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_EC2_METADATA_DISABLED": "true"}
    nobody |= {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
    nobody |= {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    run = subprocess.run(command, env=os.environ | nobody, stderr=subprocess.PIPE, text=True)
    if run.returncode != code:
        raise SystemExit(f"{run.stderr}exit code {run.returncode}, expected {code}")
    return run.stderr


def _site_packages(folder: Path) -> Path:
    (found,) = folder.glob("lib/python*/site-packages")
    return found


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    """Start the tests' server without a model; gives its address."""
    command = [str(folder / "bin" / "python"), "-m", "tests.servers.scripted"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
    finally:
        process.terminate()
        process.communicate()


if __name__ == "__main__":
    main(sys.argv[1])
