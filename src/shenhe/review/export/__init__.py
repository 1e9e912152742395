"""Files made of decisions: sheets, rows, and corrections of the model as rows to train from."""

from shenhe.review.export.contents import ExportFile, Prompting
from shenhe.review.export.files import EXPORTS, make_export, write_exports

__all__ = ["EXPORTS", "ExportFile", "Prompting", "make_export", "write_exports"]
