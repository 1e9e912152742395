"""Groups to hand in, and results to end them with, as small as they can be."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from shenhe.messages import PhotoFacts
from shenhe.row_types import Failure, RunMeta, SummaryRow, VerdictMeta, VerdictRow, utc_now
from shenhe.service.jobs import Job, JobResult, Lane, NewJob, StoredPhoto

MISSION = "挡风板安装检查"


def handed_in(
    group_id: str, *photos: str, lane: Lane = "bulk", mission: str = MISSION, folder: Path = Path()
) -> NewJob:
    """Hand in a group with photos that are no more than their names."""
    stored = tuple(
        StoredPhoto(
            location=folder / f"{name}.jpg",
            name=f"现场 {name}.jpg",
            content_hash=hashlib.sha256(os.fsencode(name)).hexdigest(),
            size=1000,
            facts=PhotoFacts(perceptual_hash="00ff00ff00ff00ff", gps=(31.2, 121.5)),
        )
        for name in photos or ("a", "b")
    )
    contents = hashlib.sha256("".join(p.content_hash for p in stored).encode()).hexdigest()
    return NewJob(mission, group_id, stored, contents, lane, "李工", "https://example.com/hook")


def judged(job: Job, reason: str = "图片_1无需安装挡风板") -> JobResult:
    """Judge a group 通过, with a line a photo and a failure that was overcome."""
    key: dict[str, Any] = {"group_id": job.new.group_id, "mission": job.new.mission, "label": None}
    images = [str(photo.location) for photo in job.new.photos]
    lines = {f"图片_{number}": "BBU设备/华为" for number in range(1, len(images) + 1)}
    meta: dict[str, Any] = {"prompt_hash": "p", "checkpoint": "c", "answers": {}}
    summary = SummaryRow(
        **key, images=images, per_image=lines, timestamp=utc_now(), meta=RunMeta(**meta)
    )
    verdict = VerdictRow(
        **key,
        verdict="通过",
        reason=reason,
        p_pass=0.97,
        status="decided",
        raw=f"通过\n理由: {reason}",
        timestamp=utc_now(),
        meta=VerdictMeta(**meta),
    )
    failure = Failure(
        **key, item="图片_1", code="loop", message="repeated itself", timestamp=utc_now()
    )
    return JobResult(verdict, summary, (failure,))
