"""The routes, a file for each kind."""

from __future__ import annotations

from shenhe.service.routes import chat, events, groups, health

ROUTERS = (groups.router, events.router, chat.router, health.router)
