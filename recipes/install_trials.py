"""What is tried in an environment, from a folder that is not the repository's."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MISSION = "挡风板安装检查"
MODEL = ("--model", "demo", "--adapters", "demo", "--dtype", "float32")
DEMO_VERDICTS = (24, 1, 0)
"""Verdicts of the demo: all, undecided, false passes."""
HEAVY = ("torch", "transformers", "peft", "safetensors", "tokenizers")
REMEDY = "torch is not installed; pip install 'shenhe[local]'"


class TrialError(Exception):
    """Something that an installation should do, and did not."""


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment, the folder that its commands run in, and the repository."""

    folder: Path
    work: Path
    root: Path

    @property
    def site_packages(self) -> Path:
        """Where its packages lie."""
        (folder,) = self.folder.glob("lib/python*/site-packages")
        return folder

    @property
    def size(self) -> int:
        """What it takes on the disk. Units: bytes."""
        paths = (path for path in self.folder.rglob("*") if not path.is_symlink())
        return sum(path.stat().st_blocks * 512 for path in paths)

    def install(self, constraints: Path, package: str) -> None:
        """Install a package with pip.

        Raises: CalledProcessError.
        """
        pip = [str(self.folder / "bin" / "pip"), "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, "-c", str(constraints), package], check=True)

    def shenhe(self, *words: object, codes: tuple[int, ...] = (0,)) -> str:
        """Run a command and give what it said on stderr.

        Raises: TrialError for another exit code, and for a traceback.
        """
        command = [str(self.folder / "bin" / "shenhe"), *map(str, words)]
        print("shenhe", *command[1:], flush=True)
        nobody = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_EC2_METADATA_DISABLED": "true"}
        nobody |= {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
        nobody |= {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "LC_ALL": "C.UTF-8"}
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        run = subprocess.run(
            command,
            env=environment | nobody,
            cwd=self.work,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if run.returncode not in codes or "Traceback" in run.stderr or "internal" in run.stderr:
            problem = f"exit code {run.returncode}, expected {codes}: {run.stderr[-1500:]}"
            raise TrialError(f"shenhe {words[0]}: {problem}")
        return run.stderr


def try_thin(environment: Environment) -> None:
    """Do all that needs no model here: ask a server, report, review, check, convert, decide.

    Raises: TrialError.
    """
    for name in HEAVY:
        if (environment.site_packages / name).exists():
            raise TrialError(f"{name} is installed, which only the extra local should bring")
    run_dir, out, photos = environment.work / "run", environment.work / "out", _photos(environment)
    with _server(environment) as address:
        server = ["--engine", "server", "--base-url", address, "--model", "scripted"]
        said = ["run", "--data-root", photos.parent, "--mission", MISSION, "--output-dir", run_dir]
        environment.shenhe(*said, *server, codes=(0, 1))
        captions = out / "captions.jsonl"
        environment.shenhe("caption", photos, "--output", captions, *server, codes=(0, 1))
        environment.shenhe("doctor", *server, "--no-load")
    environment.shenhe("convert", captions, "--format", "coco", "--output", out / "coco.json")
    environment.shenhe("photos", photos.parent, "--output", out / "photos.xlsx", codes=(0, 1))
    environment.shenhe("decide", run_dir, "--output-dir", out / "anew", codes=(0, 1))
    environment.shenhe("status", run_dir)
    environment.shenhe("watch", run_dir, codes=(0, 1))
    promised = ["--max-false-pass", "0.05", "--output", out / "promise.json"]
    environment.shenhe("promise", run_dir, *promised, codes=(0, 2))
    for kind in ("html", "xlsx", "docx", "pdf"):
        environment.shenhe("report", run_dir, "--format", kind)
    _try_rows(environment, run_dir)
    told = environment.shenhe("demo", "--output-dir", out / "demo", codes=(2,))
    environment.shenhe("merge", *MODEL[:4], "--output-dir", out / "merged")
    told += environment.shenhe("verify", out / "merged", codes=(2,))
    if told.count(REMEDY) != 2:
        raise TrialError(f"what is missing was not named: {told}")


def try_local(environment: Environment) -> None:
    """Do what needs a model here: the demo, a merge and what looks at it.

    Raises: TrialError.
    """
    run_dir, out = environment.work / "demo", environment.work / "out"
    _try_demo(environment, run_dir)
    merged = out / "merged here"
    environment.shenhe("merge", *MODEL[:4], "--output-dir", merged)
    environment.shenhe("verify", merged, "--against", "demo", "--adapters", "demo")
    _try_rows(environment, run_dir)


def try_openvino(environment: Environment) -> None:
    """Do the demo on the bundled export: no torch came for it, and the verdicts are the same.

    Raises: TrialError.
    """
    if (environment.site_packages / "torch").exists():
        raise TrialError("torch is installed, which openvino does not need")
    run_dir = environment.work / "exported"
    _try_demo(environment, run_dir, "--engine", "openvino")
    _try_rows(environment, run_dir)


def _try_demo(environment: Environment, run_dir: Path, *words: str) -> None:
    environment.shenhe("demo", "--output-dir", run_dir, *words)
    verdicts = [
        json.loads(line)
        for path in sorted((run_dir / "stage_b").glob("*.jsonl"))
        if not path.name.endswith(".failures.jsonl")
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    false_passes = sum(v["verdict"] == "通过" and v["label"] == "fail" for v in verdicts)
    undecided = sum(v["status"] == "undecided" for v in verdicts)
    if (len(verdicts), undecided, false_passes) != DEMO_VERDICTS:
        problem = f"{len(verdicts)} verdicts, {undecided} undecided, {false_passes} wrong"
        raise TrialError(f"demo: {problem}")


def try_all(environment: Environment) -> None:
    """Do what needs a model here, and what each further extra brings.

    Raises: TrialError.
    """
    try_local(environment)
    out, photos = environment.work / "out", _photos(environment)
    captions = ["caption", photos, *MODEL, "--parquet", "--metrics-port", "9479", "--traces"]
    environment.shenhe(*captions, "--quantize", "int8", "--output", out / "int8.jsonl")
    ray = ["--engine", "ray", "--ray-workers", 1, "--output", out / "ray.jsonl"]
    environment.shenhe(*captions, *ray)
    environment.shenhe(
        "convert", out / "ray.jsonl", "--format", "coco", "--output", out / "coco.json"
    )
    # Nobody listens there: what counts is that the file system loads, and says so in one line.
    away = ["s3://b/p.jpg", *MODEL, "--output", out / "s3.jsonl"]
    environment.shenhe("caption", *away, codes=(2,))


def _try_rows(environment: Environment, run_dir: Path) -> None:
    """Read the rows of a run in every other way."""
    environment.shenhe("report", run_dir)
    environment.shenhe("review", run_dir, "--export", environment.work / "review")
    page = environment.work / "verdicts.html"
    environment.shenhe("evaluate", "verdicts", run_dir, "--html", page)
    lines = run_dir / "stage_a" / f"{MISSION}.jsonl"
    with _server(environment) as address:
        server = ["--engine", "server", "--base-url", address, "--model", "scripted"]
        judged = ["judge", *server, "--stage-a", lines, "--output-dir", environment.work / "asked"]
        environment.shenhe(*judged, "--restart", codes=(0, 1))


def _photos(environment: Environment) -> Path:
    """The bundled photos of a mission, out of what was installed."""
    return environment.site_packages / "shenhe" / "demo" / "photos" / MISSION


@contextmanager
def _server(environment: Environment) -> Iterator[str]:
    """Start the tests' server without a model; gives its address."""
    command = [str(environment.folder / "bin" / "python"), "-m", "tests.servers.scripted"]
    process = subprocess.Popen(command, cwd=environment.root, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
    finally:
        process.terminate()
        process.communicate()
