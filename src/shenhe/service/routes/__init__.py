"""The routes, a file for each kind."""

from __future__ import annotations

from shenhe.service.routes import events, groups, health

ROUTERS = (groups.router, events.router, health.router)
