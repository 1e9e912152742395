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
    second,
    sign_in,
    static,
    team,
    trail,
    vocabulary,
)

ROUTERS = tuple(
    module.router
    for module in (
        *(queue, bulk, changes, group, vocabulary, audit, second, compare, trail),
        *(export, photos, static, people, sign_in, team, holding),
    )
)
