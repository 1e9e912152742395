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

ROUTERS = (
    audit.router,
    bulk.router,
    changes.router,
    compare.router,
    export.router,
    group.router,
    holding.router,
    people.router,
    photos.router,
    queue.router,
    sheets.router,
    static.router,
    trail.router,
    vocabulary.router,
)
