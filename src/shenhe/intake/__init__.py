"""Intake: a folder tree, photos, folders or JSONL lists -> the work of a run."""

from shenhe.intake.annotations import read_annotations
from shenhe.intake.folder import list_photos
from shenhe.intake.lists import PhotoLists, Photos
from shenhe.intake.ordering import natural_key
from shenhe.intake.spelling import LABELS
from shenhe.intake.tree import PhotoTree

__all__ = [
    "LABELS",
    "PhotoLists",
    "PhotoTree",
    "Photos",
    "list_photos",
    "natural_key",
    "read_annotations",
]
