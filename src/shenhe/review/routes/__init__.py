"""The routes of the application, a module for each concern."""

from shenhe.review.routes import audit, compare, export, group, people, photos, queue, static, trail

ROUTERS = tuple(
    module.router
    for module in (queue, group, audit, compare, trail, export, photos, static, people)
)
