"""A job as its clients see it: the JSON of the contract, from the same rows as those of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TypeAlias

from pydantic import JsonValue

from shenhe.photos.flags import flag_photos
from shenhe.row_types import VerdictRow
from shenhe.service.jobs import Job, StoredPhoto, names_of_photos
from shenhe.values import ReusedPhoto, photo_key

Shown: TypeAlias = dict[str, JsonValue]


def show_job(job: Job, reused: Sequence[ReusedPhoto] = (), *, names_uses: bool = True) -> Shown:
    """Show a job, with what is known of its photos before and beside the model.

    `per_image`, `verdict`, `reason`, `p_pass`, `status` and `why` are null until it is done; a
    group that cannot be judged is done too, and undecided. Without `names_uses` it is only counted
    in how many other groups a photo is.

    Example:
        show_job(store.get(job_id))["verdict"]

    """
    verdict = job.result.verdict if job.result else None
    summary = job.result.summary if job.result else None
    return {
        "id": job.id,
        "group_id": job.new.group_id,
        "mission": job.new.mission,
        "state": job.state,
        "per_image": dict(summary.per_image) if summary else None,
        **_show_verdict(verdict),
        "facts": show_facts(job, reused, names_uses=names_uses),
        "failures": [
            {"code": failure.code, "message": _without_paths(failure.message, job)}
            for failure in (job.result.failures if job.result else ())
        ],
        "version": job.version,
        "current": job.is_current,
        "submitted_at": job.submitted_at,
        "finished_at": job.finished_at or None,
        "problem": job.problem or None,
        "url": url_of(job),
    }


def _without_paths(message: str, job: Job) -> str:
    """Call the photos in a message as their client does: where they lie is nobody's business."""
    for path, name in names_of_photos(job.new).items():
        message = message.replace(path, name)
    return message


def url_of(job: Job) -> str:
    """Give the address of a job, without its host."""
    return f"/v1/groups/{job.id}"


def is_over(job: Job) -> bool:
    """Whether nothing more will become of a job."""
    return job.state in ("done", "failed")


def show_facts(
    job: Job, reused: Sequence[ReusedPhoto], *, names_uses: bool = True
) -> dict[str, JsonValue]:
    """Show what is known of each photo by itself, and of all of them together: flags, uses."""
    photos = job.new.photos
    flags = flag_photos(job.new.group_id, [photo.facts for photo in photos], reused)
    return {
        photo_key(index): _show_photo(
            photo,
            flags[index],
            [use for use in reused if use.photo == photo_key(index)],
            names_uses=names_uses,
        )
        for index, photo in enumerate(photos)
    }


def _show_photo(
    photo: StoredPhoto, flags: Sequence[str], uses: Sequence[ReusedPhoto], *, names_uses: bool
) -> dict[str, JsonValue]:
    facts: dict[str, JsonValue] = asdict(photo.facts) | {"content_hash": photo.content_hash}
    return {
        "name": photo.name,
        "size": photo.size,
        "problem": photo.problem or None,
        "flags": list(flags),
        "reused_count": len(uses),
        "reused": [
            {"group_id": use.group_id, "mission": use.mission, "same_content": use.same_content}
            for use in uses
        ]
        if names_uses
        else None,
        **facts,
    }


def _show_verdict(row: VerdictRow | None) -> dict[str, JsonValue]:
    if row is None:
        return dict.fromkeys(("verdict", "reason", "p_pass", "status", "why"))
    return {
        "verdict": row.verdict,
        "reason": row.reason,
        "p_pass": row.p_pass,
        "status": row.status,
        "why": list(row.meta.why),
    }
