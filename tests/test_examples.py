"""The examples for clusters: whole, and with commands that this version takes."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from shenhe.cli.command_line import parse
from shenhe.cli.run import RunCommandOptions

EXAMPLES = Path(__file__).parent.parent / "examples"


def entrypoint() -> list[str]:
    """Give the command of the Kubernetes job, word by word."""
    job = yaml.safe_load((EXAMPLES / "kuberay.yaml").read_text(encoding="utf-8"))
    return shlex.split(job["spec"]["entrypoint"])


def test_the_kubernetes_job() -> None:
    job = yaml.safe_load((EXAMPLES / "kuberay.yaml").read_text(encoding="utf-8"))
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        pod = group["template"]["spec"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
    command, *words = entrypoint()
    assert command == "shenhe"
    options = parse(words).options
    assert isinstance(options, RunCommandOptions)
    assert options.load.engine == "ray"
    assert str(options.output_dir).startswith("/data/")


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_the_slurm_job() -> None:
    script = EXAMPLES / "slurm.sh"
    subprocess.run(["bash", "-n", script], check=True)
    text = script.read_text(encoding="utf-8")
    (said,) = re.findall(r"#   sbatch examples/slurm.sh (.*)", text)
    (run,) = re.findall(r'on "\$head" shenhe (.*) "\$@"', text)
    words = shlex.split(run.replace('"$address"', "head:6379")) + shlex.split(said)
    options = parse(words).options
    assert isinstance(options, RunCommandOptions)
    assert (options.load.engine, options.load.cluster.ray_address) == ("ray", "head:6379")
