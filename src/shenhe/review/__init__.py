"""A local web app in which people look at what a model judged, and overrule it."""

from shenhe.review.app import Review, create_app, default_reviewer
from shenhe.review.export import Prompting, write_exports
from shenhe.review.index import Index

__all__ = ["Index", "Prompting", "Review", "create_app", "default_reviewer", "write_exports"]
