"""Offers that were accepted and not assigned yet; each goes back to its desk when the assignment does not come.

Runs on the host's loop, one of these for each registration.
"""

import asyncio
import time
from typing import Protocol

from msgspec import Struct

from agenthost.jobs import Accept, DispatchTimes, Offer

ASSIGNMENT_SECONDS = 4.0
"""The server answers an accepted offer within its own 3 s or never; then the slot is given back."""


class Reserving(Protocol):
    """Who holds a slot and a process for an accepted offer."""

    def give_back(self, job_id: str, reason: str) -> None:
        """The accepted offer was not assigned: its slot and process are free again."""


class Accepted(Struct, frozen=True):
    """How it was accepted and when; `given_back` is what happens without an assignment."""

    accept: Accept
    received: float
    accepted: float
    given_back: asyncio.TimerHandle

    def assigned_now(self) -> DispatchTimes:
        return DispatchTimes(received=self.received, accepted=self.accepted, assigned=time.time())


class AcceptedOffers:
    """By job id."""

    def __init__(self, desk: Reserving) -> None:
        self._desk = desk
        self._accepted: dict[str, Accepted] = {}

    def add(self, offer: Offer, accept: Accept, *, received: float) -> None:
        """Wait for its assignment from now on. `received` is when the offer came, in seconds since the epoch."""
        timer = asyncio.get_running_loop().call_later(ASSIGNMENT_SECONDS, self._not_assigned, offer.job_id)
        self._accepted[offer.job_id] = Accepted(accept, received, time.time(), timer)

    def take(self, job_id: str) -> Accepted | None:
        """It was assigned. None: nobody waits for it any more."""
        accepted = self._accepted.pop(job_id, None)
        if accepted is not None:
            accepted.given_back.cancel()
        return accepted

    def abandon(self) -> None:
        """The connection is lost, and every assignment with it."""
        for job_id, accepted in self._accepted.items():
            accepted.given_back.cancel()
            self._desk.give_back(job_id, "the connection was lost before the assignment")
        self._accepted.clear()

    def _not_assigned(self, job_id: str) -> None:
        if self._accepted.pop(job_id, None) is not None:
            self._desk.give_back(job_id, "not assigned in time")
