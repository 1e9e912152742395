"""The routes of the application, a module for each concern."""

from shenhe.review.routes import (
    audit,
    compare,
    export,
    group,
    people,
    photos,
    queue,
    static,
    trail,
    vocabulary,
)

ROUTERS = tuple(
    module.router
    for module in (
        *(queue, group, vocabulary, audit, compare, trail, export, photos, static, people),
    )
)
