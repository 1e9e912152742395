"""The routes of the application, a module for each concern."""

from shenhe.review.routes import (
    audit,
    export,
    group,
    holding,
    people,
    photos,
    queue,
    sign_in,
    static,
    team,
    trail,
)

ROUTERS = tuple(
    module.router
    for module in (
        *(queue, group, audit, trail, export, photos, static),
        *(people, sign_in, team, holding),
    )
)
