"""A service without a model for tests of its doors: jobs are ended by the test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from shenhe.config import load_missions
from shenhe.row_types import RunMeta, SummaryRow, VerdictMeta, VerdictRow, utc_now
from shenhe.service import server
from shenhe.service.access import EVERYBODY, FindCaller
from shenhe.service.allowed_hosts import AllowedHosts
from shenhe.service.app import create_app
from shenhe.service.jobs import Job, JobResult
from shenhe.service.limits import Limits
from shenhe.service.parts import Service
from shenhe.service.store import JobStore, open_store
from shenhe.values import Ruling, photo_key
from tests.conftest import MISSION

URL = "http://127.0.0.1:8770"


def make_service(
    data_dir: Path, limits: Limits | None = None, allow: Sequence[str] = (), url: str = ""
) -> Service:
    store, hosts = open_store(data_dir, url), AllowedHosts(allow)
    return server.make_service(
        store, data_dir, load_missions(), limits or Limits(free_bytes=0), hosts
    )


@contextmanager
def client_of(
    service: Service, find_caller: FindCaller = lambda key: EVERYBODY
) -> Iterator[TestClient]:
    app = create_app(service, find_caller)
    with TestClient(app, base_url=URL, raise_server_exceptions=False) as client:
        yield client


def form(
    photos: Sequence[Path | tuple[str, bytes]], group_id: str = "QC-1", **fields: str
) -> dict[str, Any]:
    """Give the arguments of a multipart request."""
    files = [
        ("photos", (photo.name, photo.read_bytes()) if isinstance(photo, Path) else photo)
        for photo in photos
    ]
    return {"files": files, "data": {"mission": MISSION, "group_id": group_id, **fields}}


def end(store: JobStore, verdict: Ruling = "通过") -> Job:
    """End the next job as a worker would."""
    (claimed,) = store.claim("test", 1)
    job = claimed.job
    common: dict[str, Any] = {
        "group_id": job.new.group_id,
        "mission": job.new.mission,
        "label": None,
    }
    meta: dict[str, Any] = {"prompt_hash": "0" * 16, "checkpoint": "c" * 16, "answers": {}}
    summary = SummaryRow(
        **common,
        images=[str(photo.location) for photo in job.new.photos],
        per_image={photo_key(i): "BBU设备/华为" for i in range(len(job.new.photos))},
        timestamp=utc_now(),
        meta=RunMeta(**meta),
    )
    row = VerdictRow(
        **common,
        verdict=verdict,
        reason="符合要求",
        p_pass=0.9,
        status="decided",
        raw="",
        timestamp=utc_now(),
        meta=VerdictMeta(**meta),
    )
    assert store.finish(claimed, JobResult(row, summary))
    ended = store.get(job.id)
    assert ended is not None
    return ended
