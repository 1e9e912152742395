"""Groups of a photo tree, handed in as jobs where they lie."""

from __future__ import annotations

import shutil
from pathlib import Path

from shenhe.config import load_missions
from shenhe.intake import PhotoTree
from shenhe.service.jobs import Lane, NewJob
from shenhe.service.watched_groups import new_job_of
from shenhe.values import Group
from tests.conftest import DEMO

MISSIONS = load_missions()
GROUND = "BBU接地线检查"


def copy_unlabelled(folder: Path, groups: int, mission: str = GROUND) -> Path:
    """Copy some groups of the bundled tree, without their labels."""
    taken = sorted((DEMO / "photos" / mission).glob("*/QC-*"), key=lambda path: path.name)[:groups]
    for path in taken:
        shutil.copytree(path, folder / mission / path.name)
    return folder


def groups_of(tree: Path, mission: str = GROUND) -> list[Group]:
    """List the groups of a mission."""
    return list(PhotoTree(tree).groups(MISSIONS.get(mission)))


def jobs_of(tree: Path, mission: str = GROUND, lane: Lane = "bulk") -> list[NewJob]:
    """Make the jobs of a mission's groups."""
    return [new_job_of(group, lane) for group in groups_of(tree, mission)]
