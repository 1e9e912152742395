"""What all routes share: the parts of a running service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import Request

from shenhe.service.bell import Bell
from shenhe.service.chat.served import ChatModel
from shenhe.service.fetching import PhotoFetcher
from shenhe.service.jobs import Job
from shenhe.service.limits import Limits
from shenhe.service.photo_uses import show_with_uses
from shenhe.service.places import Places
from shenhe.service.pressure import Pressure
from shenhe.service.shown import Shown
from shenhe.service.store import JobStore
from shenhe.service.submissions import Submissions
from shenhe.service.webhooks import Webhooks


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of a service that answers over HTTP.

    `find_problem` says why the watched tree cannot be looked at, empty if it can.

    Example:
        app = create_app(Service(store, submissions, pressure, bell, limits, fetcher, places))

    """

    store: JobStore
    submissions: Submissions
    pressure: Pressure
    bell: Bell
    limits: Limits
    fetcher: PhotoFetcher
    places: Places
    webhooks: Webhooks | None = None
    chat: ChatModel | None = None
    find_problem: Callable[[], str] = str

    def show(self, job: Job, *, names_uses: bool = True) -> Shown:
        """Show a job, and which of its photos other groups have.

        Raises: DatabaseAwayError; RunError.
        """
        return show_with_uses(self.store, [job], names_uses=names_uses)[0]


def service_of(request: Request) -> Service:
    """Give the service that answers a request."""
    service = request.app.state.service
    assert isinstance(service, Service)
    return service
