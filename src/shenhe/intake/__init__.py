"""Intake: a folder tree, photos, folders or JSONL lists -> the work of a run."""

from shenhe.config.label_folders import LABELS
from shenhe.intake.annotations import read_annotations
from shenhe.intake.choice import GroupChoice
from shenhe.intake.folder import list_photos, list_photos_beside
from shenhe.intake.layout import TreeLayout
from shenhe.intake.lists import PhotoLists, Photos
from shenhe.intake.name_pattern import GroupPattern
from shenhe.intake.ordering import natural_key
from shenhe.intake.tree import PhotoTree

__all__ = [
    "LABELS",
    "GroupChoice",
    "GroupPattern",
    "PhotoLists",
    "PhotoTree",
    "Photos",
    "TreeLayout",
    "list_photos",
    "list_photos_beside",
    "natural_key",
    "read_annotations",
]
