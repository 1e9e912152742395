"""The examples for clusters and services: whole, with commands that this version takes."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from shenhe.cli.command_line import parse
from shenhe.cli.databases import DATABASE
from shenhe.cli.run import RunCommandOptions
from shenhe.cli.serve import KEY, ServeOptions
from shenhe.service.access import OPEN_PATHS
from shenhe.service.limits import Limits
from shenhe.service.receiving import BESIDE
from shenhe.service.server import GRACE_SECONDS
from shenhe.service.webhooks import SECRET

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


SERVE = EXAMPLES / "serve"


def served(words: list[str]) -> ServeOptions:
    """Read the words behind `shenhe` as the command line does."""
    options = parse(words).options
    assert isinstance(options, ServeOptions)
    return options


def test_the_container_of_the_service() -> None:
    text = (SERVE / "Containerfile").read_text(encoding="utf-8")
    steps: dict[str, list[str]] = {}
    for line in text.replace("\\\n", " ").splitlines():
        step, _, rest = line.partition(" ")
        if step and not step.startswith("#"):
            steps.setdefault(step, []).append(rest.strip())
    assert next(iter(steps)) == "FROM"
    assert re.findall(r"https?://([^/\s]+)", text) == ["127.0.0.1:8770"]  # no registry is named
    assert "." not in steps["FROM"][0].partition(":")[0]
    for copied in " ".join(steps["COPY"]).replace("/src/src", "").replace("/src/", "").split():
        assert (EXAMPLES.parent / copied).exists(), copied
    assert steps["USER"] == ["10001:10001"]
    assert json.loads(steps["ENTRYPOINT"][-1]) == ["shenhe"]
    options = served(json.loads(steps["CMD"][-1]))
    assert str(options.data) in steps["VOLUME"]
    assert str(options.port) in steps["EXPOSE"]
    assert f"127.0.0.1:{options.port}/readyz" in steps["HEALTHCHECK"][0]
    check = json.loads(steps["HEALTHCHECK"][0].partition("CMD ")[2])
    compile(check[2], "HEALTHCHECK", "exec")
    extras = set(re.findall(r'"/src\[([\w,]+)\]"', text)[0].split(","))
    declared = tomllib.loads((EXAMPLES.parent / "pyproject.toml").read_text(encoding="utf-8"))
    assert extras <= declared["project"]["optional-dependencies"].keys()


def test_the_unit_of_the_service(tmp_path: Path) -> None:
    unit = SERVE / "shenhe-serve.service"
    lines = unit.read_text(encoding="utf-8").splitlines()
    service = dict(line.split("=", 1) for line in lines if re.match(r"\w+=", line))
    command, *words = shlex.split(service["ExecStart"])
    assert command == "/opt/shenhe/bin/shenhe"
    assert str(served(words).data) == f"/var/lib/{service['StateDirectory']}"
    assert int(service["TimeoutStopSec"]) > 2 * GRACE_SECONDS
    assert service["User"] != "root"
    if shutil.which("systemd-analyze") is None:
        return
    there = tmp_path / unit.name
    text = unit.read_text(encoding="utf-8").replace(command, "/usr/bin/true")
    there.write_text(text, encoding="utf-8")
    checks: tuple[list[str | Path], ...] = (
        ["verify", "--man=no", there],
        ["security", "--offline=yes", "--threshold=25", there],
    )
    for check in checks:
        run = subprocess.run(
            ["systemd-analyze", *check], capture_output=True, text=True, check=False
        )
        assert (run.returncode, run.stderr) == (0, ""), run.stdout


def test_the_service_in_kubernetes() -> None:
    text = (SERVE / "kubernetes.yaml").read_text(encoding="utf-8")
    things = {
        (thing["kind"], thing["metadata"]["name"]): thing for thing in yaml.safe_load_all(text)
    }
    secret = things["Secret", "shenhe-serve"]["stringData"]
    assert set(secret) == {KEY, SECRET, DATABASE}
    assert secret[DATABASE].startswith("postgresql://")
    claims = {name for kind, name in things if kind == "PersistentVolumeClaim"}
    roles = {}
    for name in ("shenhe-api", "shenhe-worker"):
        template = things["Deployment", name]["spec"]["template"]
        pod = template["spec"]
        (container,) = pod["containers"]
        options = served(container["args"])
        roles[options.role] = container
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
        assert volumes["data"]["persistentVolumeClaim"]["claimName"] in claims
        assert str(options.data) in [mount["mountPath"] for mount in container["volumeMounts"]]
        assert container["envFrom"] == [{"secretRef": {"name": "shenhe-serve"}}]
        assert pod["securityContext"]["runAsNonRoot"]
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert pod["terminationGracePeriodSeconds"] > 2 * GRACE_SECONDS
    assert roles.keys() == {"api", "worker"}
    assert not served(roles["worker"]["args"]).load.model.startswith("demo")
    selector = things["Service", "shenhe"]["spec"]["selector"]
    assert selector == things["Deployment", "shenhe-api"]["spec"]["selector"]["matchLabels"]
    paths = {
        roles["api"][f"{probe}Probe"]["httpGet"]["path"]
        for probe in ("startup", "readiness", "liveness")
    }
    assert paths == {"/healthz", "/readyz"} <= set(OPEN_PATHS)


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_what_people_are_told_of_the_service_in_production(page: str) -> None:
    text = (SERVE / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (SERVE / target).exists(), target
    (size,) = re.findall(r"client_max_body_size (\d+)m;", text)
    assert int(size) * 2**20 > Limits().group_bytes + BESIDE
    (seconds,) = re.findall(r"proxy_read_timeout (\d+)s;", text)
    assert int(seconds) > Limits().wait_seconds
