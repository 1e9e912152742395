"""The style sheets, the scripts and the icon of the pages."""

from __future__ import annotations

from shenhe.web.static_files import static_routes

router = static_routes("shenhe.review")
