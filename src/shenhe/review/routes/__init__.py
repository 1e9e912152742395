"""The routes of the application, a module for each concern."""

from shenhe.review.routes import (
    audit,
    compare,
    export,
    group,
    people,
    photos,
    queue,
    sheets,
    static,
    trail,
    vocabulary,
)

ROUTERS = tuple(
    module.router
    for module in (
        *(queue, group, vocabulary, audit, compare, trail, sheets, export, photos, static, people),
    )
)
