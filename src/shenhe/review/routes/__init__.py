"""The routes of the application, a module for each concern."""

from shenhe.review.routes import (
    audit,
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
    for module in (queue, group, vocabulary, audit, trail, export, photos, static, people)
)
