"""The service itself, as a process: from photos to a verdict, keys, signals, kills."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.conftest import DEMO, MISSION
from tests.service.apis import multipart
from tests.warm import SHENHE

GROUP = sorted((DEMO / "photos" / MISSION).rglob("img-001*"))[0].parent


class Served(NamedTuple):
    url: str
    process: subprocess.Popen[str]

    def ask(self, path: str, data: bytes | None = None, **headers: str) -> tuple[int, Any]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url + path, data, named)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def submit(self, group_id: str, photos: list[Path], query: str = "") -> tuple[int, Any]:
        parts = [('name="mission"', MISSION.encode()), ('name="group_id"', group_id.encode())]
        parts += [(f'name="photos"; filename="{p.name}"', p.read_bytes()) for p in photos]
        kind = "multipart/form-data; boundary=x"
        return self.ask(f"/v1/groups{query}", multipart(*parts), Content_Type=kind)


@contextmanager
def serving(data: Path, *options: str, **environment: str) -> Iterator[Served]:
    command = [*SHENHE, "serve", "--data", str(data), "--port", "0", *options]
    env = os.environ | {"OMP_NUM_THREADS": "1"} | environment
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("service: http://"), process.communicate()[1]
        try:
            yield Served(line.removeprefix("service: ").strip().rstrip("/"), process)
        finally:
            process.kill()


def test_photos_come_in_and_a_verdict_goes_out(tmp_path: Path) -> None:
    photos = sorted(GROUP.iterdir())
    with serving(tmp_path, "--model", "demo", "--adapters", "demo") as served:
        status, shown = served.submit("QC-20261113-0000002", photos, "?wait=60")
        assert (status, shown["state"]) == (200, "done")
        assert len(shown["per_image"]) == len(photos)
        assert shown["verdict"] in ("通过", "不通过", None)
        assert served.ask("/readyz") == (200, {"status": "ready", "missing": {}})
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(30) == 0
    for stage in ("stage_a", "stage_b"):
        (line,) = (tmp_path / stage / f"{MISSION}.jsonl").read_text("utf-8").splitlines()
        assert json.loads(line)["group_id"] == "QC-20261113-0000002"
