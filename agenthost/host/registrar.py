"""Opens registrations, and closes those that were replaced when their last job has ended.

Runs on the host's loop. Closing a socket makes the server forget the jobs that came over it, so a replaced
registration stays open, full, for as long as one of them runs; and for as long as an offer may be on its way that the
server made before it heard that it is full.
"""

import asyncio
from collections.abc import Callable, Iterable

import aiohttp

from agenthost.dispatch.connection import Connection, ServerAddress, connect
from agenthost.dispatch.registration import LoadReport, Offers, Registration, RegistrationState
from agenthost.dispatch.token import Credentials
from agenthost.errors import ConnectionLost, RegistrationRefused
from agenthost.host.jobs.registry import ASSIGNMENT_SECONDS, JobRegistry
from agenthost.host.tasks import Tasks
from agenthost.internal_errors import InternalErrors
from agenthost.logs.events import get_logger
from agenthost.plan import RegistrationKey

_FAREWELL_SECONDS = 6.0
"""For another name or deployment: after a new one has come up the server takes up to 5 s to find out who is there, and
what was dispatched for the old one meanwhile, or just before, is offered only then."""


HEARD_SECONDS = 2.0
"""A server that answers no ping for so long takes no dispatch either; a reload need not wait for its return."""


class Registrar:
    """One for the whole host."""

    def __init__(
        self, session: aiohttp.ClientSession, *, tasks: Tasks, jobs: JobRegistry, errors: InternalErrors
    ) -> None:
        self._session = session
        self._tasks = tasks
        self._jobs = jobs
        self._errors = errors
        self._open: set[Registration] = set()
        self._retired: dict[Registration, str] = {}
        self._closable: set[Registration] = set()
        self._log = get_logger("dispatch")
        jobs.on_end(lambda _: self._close_idle())

    async def open(self, agent: str, key: RegistrationKey, *, offers: Offers, load: LoadReport) -> Registration:
        """A registration after its first try, whatever came of it; it goes on trying by itself.

        Refused credentials end the host: the first start is the time to say so.
        """
        tried = asyncio.Event()
        registration = self._new(agent, key, offers=offers, load=load, on_change=tried.set)
        self._tasks.essential(registration.run())
        await tried.wait()
        return registration

    async def open_surely(self, agent: str, key: RegistrationKey, *, offers: Offers, load: LoadReport) -> Registration:
        """A registration that the server has confirmed.

        Raises ConnectionLost when its first try fails, RegistrationRefused when the server does not take the
        credentials; then there is no registration, and the host goes on with those it has.
        """
        tried = asyncio.Event()
        refused: RegistrationRefused | None = None
        registration = self._new(agent, key, offers=offers, load=load, on_change=tried.set)

        async def run() -> None:
            nonlocal refused
            try:
                await registration.run()
            except RegistrationRefused as error:
                refused = error
                tried.set()

        self._tasks.create_task(run())
        try:
            await tried.wait()
            if refused is not None:
                raise refused
            if registration.state is not RegistrationState.REGISTERED:
                raise ConnectionLost(f"agent `{agent}` could not be registered anew: {registration.reason}")
        except BaseException:
            await self._close(registration)
            raise
        return registration

    def retire(self, agent: str, registration: Registration, successor: Registration | None = None) -> None:
        """Take no more offers on it soon; it closes when the last job that came over it has ended.

        Not at once where there is a `successor`: one of the same name must be known to be available before the server
        hears that this one is full, and the two sockets are not read in order.
        """
        self._retired[registration] = agent
        self._tasks.create_task(self._retire(registration, successor))

    async def _retire(self, registration: Registration, successor: Registration | None) -> None:
        if successor is not None and successor.key.is_alike(registration.key):
            await successor.heard()
        elif successor is not None:
            await asyncio.sleep(_FAREWELL_SECONDS)
        registration.retire()
        await asyncio.sleep(ASSIGNMENT_SECONDS)
        self._quiet(registration)

    def _quiet(self, registration: Registration) -> None:
        """No offer that was made before the server knew better can still become a job."""
        self._closable.add(registration)
        self._close_idle()

    async def discard(self, registration: Registration) -> None:
        """Close one that never took an offer."""
        await self._close(registration)

    def retired(self, agent: str) -> tuple[Registration, ...]:
        """Those of an agent that are still open for their jobs."""
        return tuple(registration for registration, owner in self._retired.items() if owner == agent)

    def _close_idle(self) -> None:
        """Close the retired ones that no job needs any more."""
        for registration in [one for one in self._closable if not self._jobs.over(one)]:
            self._closable.discard(registration)
            del self._retired[registration]
            self._log.info("registration closed", agent_name=registration.key.agent_name, reason="replaced")
            self._tasks.create_task(self._close(registration))

    async def close(self) -> None:
        """Close all."""
        await asyncio.gather(*(registration.close() for registration in self._open))

    async def _close(self, registration: Registration) -> None:
        self._open.discard(registration)
        await registration.close()

    def _new(
        self, agent: str, key: RegistrationKey, *, offers: Offers, load: LoadReport, on_change: Callable[[], None]
    ) -> Registration:
        log = self._log.bind(agent=agent)
        registration = Registration(
            key,
            connect=self._connector(key),
            offers=offers,
            errors=self._errors,
            log=log,
            on_change=on_change,
        )
        registration.report_load(load)
        self._open.add(registration)
        return registration

    async def heard(self, registrations: Iterable[Registration]) -> None:
        """Until the server knows all that these told it, but no longer than HEARD_SECONDS."""
        waiting = [asyncio.ensure_future(one.heard()) for one in registrations]
        if not waiting:
            return
        _, deaf = await asyncio.wait(waiting, timeout=HEARD_SECONDS)
        for one in deaf:
            one.cancel()

    def _connector(self, key: RegistrationKey) -> Callable[[], "asyncio.Future[Connection]"]:
        server = key.server
        address = ServerAddress(
            url=server.url,
            credentials=Credentials(api_key=server.api_key, api_secret=server.api_secret),
            proxy=server.proxy,
        )
        return lambda: asyncio.ensure_future(connect(self._session, address))
