"""The routes of the application, a module for each concern."""

from shenhe.review.routes import (
    audit,
    bulk,
    changes,
    compare,
    export,
    group,
    holding,
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
        *(queue, bulk, changes, group, vocabulary, audit, compare, trail),
        *(sheets, export, photos, static, people, holding),
    )
)
