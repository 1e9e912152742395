"""A local web app in which people review what a model judged, and overrule it."""

from shenhe.review.app import create_app, default_reviewer
from shenhe.review.export import Prompting, write_exports
from shenhe.review.index import Index
from shenhe.review.site import OtherRun, Review

__all__ = [
    "Index",
    "OtherRun",
    "Prompting",
    "Review",
    "create_app",
    "default_reviewer",
    "write_exports",
]
