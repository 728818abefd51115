"""One registration: an agent name and job type that the LiveKit server knows this host by, for as long as it lives.

    CONNECTING ──registered──▶ REGISTERED ──close()──▶ CLOSED
        ▲                          │            ▲
        └──────connection lost─────┴──if retired┘
    RegistrationRefused before the first success ends `run` with it.
    REGISTERED: the server has shown that it knows this worker and its load. Its answer to `register` comes before that.

Runs on the host's loop. It speaks the worker protocol and keeps the socket open, with jittered back-off, for ever;
what to answer and what to do with a job it leaves to the `Offers` it is given. One message that cannot be handled
changes nothing for those before and after it.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Protocol

from msgspec import Struct

from agenthost.dispatch import wire
from agenthost.dispatch.connection import REGISTER_SECONDS, Connection
from agenthost.dispatch.receipts import Receipts
from agenthost.errors import ConnectionLost, RegistrationRefused
from agenthost.internal_errors import InternalErrors
from agenthost.jobs import Accept, JobStatus, Offer, Reject
from agenthost.logs.events import EventLogger
from agenthost.metrics import InternalPart
from agenthost.plan import RegistrationKey
from agenthost.restarts import STABLE_AFTER_SECONDS, reconnect_delay
from agenthost.version import __version__

AVAILABLE_BELOW = 0.69
"""The server offers nothing to a worker that reports 0.70 or more (its `agents.target_load`), even if available."""


class RegistrationState(Enum):
    CONNECTING = "connecting"
    REGISTERED = "registered"
    CLOSED = "closed"


class LoadReport(Struct, frozen=True, kw_only=True):
    """What the server is told of our load: `fraction` of the nearest limit in 0..1, and whether it is reached."""

    full: bool
    fraction: float
    jobs: int


class Offers(Protocol):
    """Who decides about the offers of one registration, and has the jobs that come of them."""

    async def answer(self, offer: Offer, registration: "Registration") -> Accept | Reject:
        """Within the deadline of an offer; never raises."""

    def unanswerable(self, job_id: str) -> None:
        """An accept that cannot be put on the wire; the server hears a reject."""

    def assigned(self, event: wire.Assigned, registration: "Registration") -> None:
        """The server gave us the job; what becomes of it is reported to this registration."""

    def terminated(self, job_id: str, registration: "Registration") -> None:
        """The server ended the job."""

    def lost(self, registration: "Registration") -> None:
        """The connection is lost: what was accepted on it will not be assigned."""


class Registration:
    """Keeps one worker registered; `run` is its life."""

    def __init__(
        self,
        key: RegistrationKey,
        *,
        connect: Callable[[], Awaitable[Connection]],
        offers: Offers,
        errors: InternalErrors,
        log: EventLogger,
        on_change: Callable[[], None],
    ) -> None:
        self.key = key
        self.state = RegistrationState.CONNECTING
        self.worker_id = ""
        self.reason = "not registered yet"
        self._connect = connect
        self._offers = offers
        self._errors = errors
        self._log = log
        self._on_change = on_change
        self._connection: Connection | None = None
        self._registered_at: float | None = None  # on this connection, or the one that has just been lost
        self._retired = False
        self._load = LoadReport(full=False, fraction=0.0, jobs=0)
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue()
        self._receipts = Receipts()

    def is_closed(self) -> bool:
        return self.state is RegistrationState.CLOSED

    async def run(self) -> None:
        """Connect, register and serve, again and again, until `close`.

        Raises RegistrationRefused, but only before the first success.
        """
        loop = asyncio.get_running_loop()
        attempt = 0
        while not self.is_closed():
            self._registered_at = None
            try:
                await self._once()
            except RegistrationRefused as error:
                if not self.worker_id:
                    raise
                self._lost(str(error))
            except ConnectionLost as error:
                self._lost(str(error))
            except Exception as error:
                self._errors.note(InternalPart.CONNECTION, error, agent_name=self.key.agent_name)
                self._lost(f"an error inside the host: {error!r}")
            if self.is_closed():
                return
            if self._retired:
                self.state = RegistrationState.CLOSED
                self._receipts.release()
                return
            held = 0.0 if self._registered_at is None else loop.time() - self._registered_at
            attempt = 0 if held >= STABLE_AFTER_SECONDS else attempt
            delay = reconnect_delay(attempt, random.random())
            event = "registration failed" if self._registered_at is None else "registration lost"
            self._log.warning(event, reason=self.reason, retry_in_seconds=round(delay, 1))
            await asyncio.sleep(delay)
            attempt += 1

    def report_load(self, load: LoadReport) -> None:
        """Tell the server now how full this worker is."""
        self._load = load
        if self._is_connected:
            self._send_load()

    async def heard(self) -> None:
        """Until the server has read all that it was told here, over however many connections; or until `close`."""
        if not self.is_closed():
            number = self._receipts.number()
            self._outgoing.put_nowait(wire.ping(number))
            await self._receipts.wait(number)

    def retire(self) -> None:
        """Take no more offers. Should the connection be lost there is no other: the server forgets the jobs with it."""
        self._retired = True
        self.report_load(LoadReport(full=True, fraction=1.0, jobs=0))

    def report_job(self, job_id: str, status: JobStatus, error: str = "") -> None:
        """Tell the server what became of a job; while there is no connection nobody would listen, so it is dropped."""
        if self._is_connected:
            self._outgoing.put_nowait(wire.job_status(job_id, status, error))
        else:
            self._log.debug("job status not sent", job_id=job_id, status=status.value, reason=self.reason)

    def simulate_job(self, room: str, participant: str = "") -> None:
        """Ask the server to offer this worker a job in `room` (no dispatch is made)."""
        self._outgoing.put_nowait(wire.simulate_job(self.key.type, room, participant))

    async def close(self) -> None:
        """Close the socket after what is queued was sent; the server forgets our jobs with it."""
        if self.state is RegistrationState.CLOSED:
            return
        self.state = RegistrationState.CLOSED
        self._receipts.release()
        connection = self._connection
        if connection is not None:
            try:
                while not self._outgoing.empty():
                    await connection.send(self._outgoing.get_nowait())
            except ConnectionLost:
                pass  # the last words cannot be heard; the socket is closing anyway
            await connection.close()

    async def _once(self) -> None:
        """One connection, from opening it to its loss. Raises ConnectionLost, or RegistrationRefused."""
        connection = await self._connect()
        lost: BaseException | None = None
        try:
            await connection.send(
                wire.register(
                    agent_name=self.key.agent_name,
                    job_type=self.key.type,
                    deployment=self.key.deployment,
                    version=__version__,
                )
            )
            registered = await connection.receive_first()
            self._enter(connection, registered)
            async with asyncio.TaskGroup() as tasks:
                sender = tasks.create_task(self._send_queued(connection))
                known = tasks.create_task(self._wait_known(registered))
                try:
                    await self._receive(connection, tasks)
                finally:
                    sender.cancel()
                    known.cancel()
        except* ConnectionLost as group:
            lost = _first(group)
        finally:
            self._connection = None
            with self._errors.contained(InternalPart.CONNECTION, agent_name=self.key.agent_name):
                self._offers.lost(self)
            await connection.close()
        if lost is not None and not self.is_closed():
            raise lost

    def _enter(self, connection: Connection, registered: wire.Registered) -> None:
        if self.state is RegistrationState.CLOSED:
            raise ConnectionLost("closed while registering")
        self._connection = connection
        self.worker_id = registered.worker_id
        self._registered_at = asyncio.get_running_loop().time()
        while not self._outgoing.empty():
            self._outgoing.get_nowait()  # about jobs of a socket that the server has forgotten
        self._send_load()

    async def _wait_known(self, registered: wire.Registered) -> None:
        """The server answers `register` before it takes the worker into its books, and reads the load after that."""
        try:
            async with asyncio.timeout(REGISTER_SECONDS):
                await self.heard()
        except TimeoutError:
            raise ConnectionLost(
                f"the server answered the registration, but no ping in {REGISTER_SECONDS:.0f} s"
            ) from None
        if self.is_closed():
            return
        self.reason = ""
        self.state = RegistrationState.REGISTERED
        self._log.info(
            "registered",
            agent_name=self.key.agent_name,
            type=self.key.type.value,
            worker_id=registered.worker_id,
            server_version=registered.server_version,
            node_id=registered.node_id,
        )
        self._on_change()

    async def _send_queued(self, connection: Connection) -> None:
        while True:
            await connection.send(await self._outgoing.get())

    async def _receive(self, connection: Connection, tasks: asyncio.TaskGroup) -> None:
        while True:
            event = await connection.receive()
            with self._errors.contained(InternalPart.MESSAGE, kind=type(event).__name__):
                self._handle(event, tasks)

    def _handle(self, event: wire.ServerEvent, tasks: asyncio.TaskGroup) -> None:
        match event:
            case Offer():
                tasks.create_task(self._answer(event))
            case wire.Assigned():
                self._offers.assigned(event, self)
            case wire.Terminated():
                self._offers.terminated(event.job_id, self)
            case wire.Ignored():
                self._log.debug("message ignored", kind=event.kind)
            case wire.Unreadable():
                self._log.warning(
                    "message not understood", error=f"the server sent {event.error}", effect="it is ignored"
                )
            case wire.Undecoded():
                raise event.error
            case wire.Pong():
                self._receipts.answered(event.number)
            case wire.Registered():
                pass

    async def _answer(self, offer: Offer) -> None:
        with self._errors.contained(InternalPart.OFFER, job_id=offer.job_id):
            answer = await self._offers.answer(offer, self)
            self._outgoing.put_nowait(self._worded(offer, answer))

    def _worded(self, offer: Offer, answer: Accept | Reject) -> bytes:
        """The answer's message; a reject where it cannot be made, so that the server asks somebody else."""
        try:
            return wire.answer(offer.job_id, answer)
        except Exception as error:
            self._errors.note(InternalPart.OFFER, error, job_id=offer.job_id)
            self._offers.unanswerable(offer.job_id)
            return wire.answer(offer.job_id, Reject(reason="host error"))

    def _lost(self, reason: str) -> None:
        self.reason = reason
        if self.state is not RegistrationState.CLOSED:
            self.state = RegistrationState.CONNECTING
            self._on_change()

    @property
    def _is_connected(self) -> bool:
        """Whether there is somebody to talk to: from the answer to `register` on."""
        return self._connection is not None and not self.is_closed()

    def _send_load(self) -> None:
        load = self._load
        self._outgoing.put_nowait(
            wire.worker_status(full=load.full, load=AVAILABLE_BELOW * min(1.0, load.fraction), jobs=load.jobs)
        )


def _first(group: BaseExceptionGroup[ConnectionLost]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
