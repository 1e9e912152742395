"""The routes, a file for each kind."""

from __future__ import annotations

from shenhe.service.routes import chat, docs, events, groups, health, home, sign_in
from shenhe.web.static_files import static_routes

ROUTERS = (
    groups.router,
    events.router,
    chat.router,
    health.router,
    docs.router,
    home.router,
    sign_in.router,
    static_routes("shenhe.service"),
)
