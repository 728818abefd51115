"""Offers that were accepted and not assigned yet; each goes back to its desk when the assignment does not come.

Runs on the host's loop, one of these for each registration.
"""

import asyncio
import time
from typing import Protocol

from msgspec import Struct

from agenthost.dispatch import wire
from agenthost.jobs import Accept, Assignment, DispatchTimes, Offer

ASSIGNMENT_SECONDS = 4.0
"""The server answers an accepted offer within its own 3 s or never; then the slot is given back."""


class Reserving(Protocol):
    """Who holds a slot and a process for an accepted offer."""

    def give_back(self, job_id: str, reason: str) -> None:
        """The accepted offer was not assigned: its slot and process are free again."""


class _Accepted(Struct, frozen=True):
    accept: Accept
    received: float
    accepted: float
    given_back: asyncio.TimerHandle


class AcceptedOffers:
    """By job id."""

    def __init__(self, desk: Reserving) -> None:
        self._desk = desk
        self._accepted: dict[str, _Accepted] = {}

    def add(self, offer: Offer, accept: Accept, *, received: float) -> None:
        """Wait for its assignment from now on. `received` is when the offer came, in seconds since the epoch."""
        timer = asyncio.get_running_loop().call_later(ASSIGNMENT_SECONDS, self._not_assigned, offer.job_id)
        self._accepted[offer.job_id] = _Accepted(accept, received, time.time(), timer)

    def take(self, event: wire.Assigned) -> Assignment | None:
        """It was assigned. None: nobody waits for it any more."""
        found = self._accepted.pop(event.offer.job_id, None)
        if found is None:
            return None
        found.given_back.cancel()
        times = DispatchTimes(received=found.received, accepted=found.accepted, assigned=time.time())
        return Assignment(offer=event.offer, accept=found.accept, token=event.token, url=event.url, times=times)

    def abandon(self) -> None:
        """The connection is lost, and every assignment with it."""
        for job_id, accepted in self._accepted.items():
            accepted.given_back.cancel()
            self._desk.give_back(job_id, "the connection was lost before the assignment")
        self._accepted.clear()

    def _not_assigned(self, job_id: str) -> None:
        if self._accepted.pop(job_id, None) is not None:
            self._desk.give_back(job_id, "not assigned in time")
