"""vLLM as an engine, in process and behind its server: the same rows as the local engine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from shenhe.checkpoints.inspect import DEMO_FOLDER
from shenhe.checkpoints.merge import merge_adapters
from shenhe.engines.base import EngineSpec
from shenhe.engines.options import ServerOptions
from shenhe.engines.server import ServerEngine
from shenhe.errors import UsageError
from tests.peers.environments import BESIDE_VLLM, ROOT, VLLM, environment
from tests.peers.real_ids import add_video
from tests.runs.reading import said
from tests.servers.vllm_serve import vllm_serve

pytestmark = pytest.mark.peers
ADAPTER = DEMO_FOLDER / "adapter"


@pytest.fixture(scope="module")
def python() -> Path:
    return environment("vllm", VLLM, BESIDE_VLLM)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "base"
    shutil.copytree(DEMO_FOLDER / "base", folder)
    return add_video(folder)


@pytest.fixture(scope="module")
def expected(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the local engine says, by base and adapter."""
    out = tmp_path_factory.mktemp("local")
    done = _run(Path(sys.executable), out, str(base), "--adapters", str(ADAPTER))
    assert done.returncode == 1, done.stderr  # one photo of the demo cannot be read
    return out


def test_in_process_with_an_adapter(
    python: Path, base: Path, expected: Path, tmp_path: Path
) -> None:
    done = _in_vllm(python, tmp_path, str(base), "--adapters", str(ADAPTER))
    assert done.returncode == 1, done.stderr[-3000:]
    assert said(tmp_path) == said(expected)
    assert len(said(tmp_path)) == 47


def test_in_process_merged(python: Path, expected: Path, tmp_path: Path) -> None:
    merged = tmp_path / "merged"
    merge_adapters("demo", ["demo"], merged, dtype="float32")
    done = _in_vllm(python, tmp_path / "out", str(add_video(merged)))
    assert done.returncode == 1, done.stderr[-3000:]
    assert said(tmp_path / "out") == said(expected)


def test_an_adapter_that_does_nothing_is_refused(python: Path, base: Path, tmp_path: Path) -> None:
    idle = tmp_path / "idle"
    shutil.copytree(ADAPTER, idle)
    weights = load_file(idle / "adapter_model.safetensors")
    nothing = {k: torch.zeros_like(v) if "lora_B" in k else v for k, v in weights.items()}
    save_file(nothing, idle / "adapter_model.safetensors", metadata={"format": "pt"})
    done = _in_vllm(python, tmp_path / "out", str(base), "--adapters", str(idle))
    assert done.returncode == 2
    assert "answers the same with and without it" in done.stderr


def test_behind_its_server(python: Path, base: Path, expected: Path, tmp_path: Path) -> None:
    lora = ("--enable-lora", "--max-lora-rank", "16", "--lora-modules", f"lora={ADAPTER}")
    with vllm_serve(python, base, *lora) as url:
        spec = EngineSpec(model=str(base), adapters=("lora",), engine=ServerOptions(base_url=url))
        engine = ServerEngine(spec)
        assert engine.dialect.form == "structured_outputs"
        assert engine.dialect.extras
        assert engine.dialect.top_logprobs == 20
        engine.close()
        at = ("--adapters", "lora", "--engine", "server", "--base-url", url)
        done = _run(Path(sys.executable), tmp_path, str(base), *at, dtype="auto")
    assert done.returncode == 1, done.stderr
    assert said(tmp_path) == said(expected)
    assert said(tmp_path, "p_pass").keys() == said(expected, "p_pass").keys()
    for key, (sure,) in said(tmp_path, "p_pass").items():
        (own,) = said(expected, "p_pass")[key]
        assert (sure is None) == (own is None)
        assert sure is None or sure == pytest.approx(own, abs=2e-3)


def test_an_adapter_of_the_tower_is_refused_at_a_server(
    python: Path, base: Path, tmp_path: Path
) -> None:
    tower = tmp_path / "tower"
    shutil.copytree(ADAPTER, tower)
    weights = load_file(tower / "adapter_model.safetensors")
    name = "base_model.model.model.visual.blocks.0.attn.proj.lora_{}.weight"
    width = 128
    weights[name.format("A")] = torch.zeros(16, width)
    weights[name.format("B")] = torch.zeros(width, 16)
    save_file(weights, tower / "adapter_model.safetensors", metadata={"format": "pt"})
    lora = ("--enable-lora", "--max-lora-rank", "16", "--lora-modules", f"tower={tower}")
    with vllm_serve(python, base, *lora) as url:
        spec = EngineSpec(model=str(base), adapters=("tower",), engine=ServerOptions(base_url=url))
        with pytest.raises(UsageError, match="--enable-tower-connector-lora"):
            ServerEngine(spec)


def _in_vllm(
    python: Path, out: Path, model: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    options = ("--engine", "vllm", "--vllm-option", "enforce_eager=true")
    return _run(python, out, model, *options, "--vllm-option", "max_model_len=2048", *arguments)


def _run(
    python: Path, out: Path, model: str, *arguments: str, dtype: str = "float32"
) -> subprocess.CompletedProcess[str]:
    photos = DEMO_FOLDER.parent / "photos"
    command = [str(python), "-m", "shenhe", "run", "--model", model, "--data-root", str(photos)]
    command += ["--output-dir", str(out), "--dtype", dtype, *arguments]
    environ = os.environ | {"PYTHONPATH": str(ROOT / "src"), "VLLM_CPU_KVCACHE_SPACE": "1"}
    environ |= {"VLLM_LOGGING_LEVEL": "ERROR"}
    return subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
