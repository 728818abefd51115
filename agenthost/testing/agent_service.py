"""The websocket half of the fake server: who may register, the handshake, and what each message means.

Runs in the test's process. Bytes that are no message end a connection, as on the real server.
"""

import asyncio
import time

import jwt
from aiohttp import WSMsgType, web
from google.protobuf.message import DecodeError
from livekit import api
from livekit.protocol import agent

from agenthost.testing.changes import Changes
from agenthost.testing.dispatcher import Dispatcher
from agenthost.testing.values import TYPES
from agenthost.testing.worker_socket import ConnectedWorker, WorkerGone

REGISTER_SECONDS = 10.0
GARBAGE = b"\xff\xfe this is no protobuf message \x00\xff"


class AgentService:
    """Serves `/agent`. `refusals` and `connections` count what came since the start, for tests."""

    def __init__(self, dispatcher: Dispatcher, changes: Changes, *, api_key: str, api_secret: str) -> None:
        self.refusals = 0
        self.connections = 0
        self._dispatcher = dispatcher
        self._changes = changes
        self._verifier = api.TokenVerifier(api_key, api_secret)
        self._transports: set[asyncio.Transport] = set()

    def cut(self) -> None:
        """Break every websocket without a closing handshake."""
        for transport in tuple(self._transports):
            transport.abort()

    def freeze(self) -> None:
        """Make every websocket half-open: connected, and deaf and dumb."""
        for worker in self._dispatcher.workers:
            worker.freeze()
        for transport in self._transports:
            transport.pause_reading()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One connection, from the HTTP request to the end of the websocket."""
        status = self._dispatcher.faults.refuse_with or (None if self._may_register(request) else 401)
        if status is not None:
            self.refusals += 1
            self._changes.notify()
            return web.Response(status=status, text="invalid API key or token")
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connections += 1
        self._changes.notify()
        transport = request.transport
        assert transport is not None
        self._transports.add(transport)
        try:
            await self._converse(socket)
        except (ConnectionError, WorkerGone):
            pass  # the socket broke while we wrote: the same end as one that broke while we read
        finally:
            self._transports.discard(transport)
        return socket

    def _may_register(self, request: web.Request) -> bool:
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            claims = self._verifier.verify(bearer)
        except jwt.InvalidTokenError:
            return False
        return bool(claims.video and claims.video.agent)

    async def _converse(self, socket: web.WebSocketResponse) -> None:
        if self._dispatcher.faults.close:
            await socket.close()
            return
        worker = await self._register(socket)
        if worker is None:
            return
        self._dispatcher.workers.append(worker)
        self._changes.notify()
        try:
            while (message := await self._receive(socket)) is not None:
                await self._handle(worker, message)
                self._changes.notify()
        finally:
            self._dispatcher.workers.remove(worker)
            worker.gone()
            self._changes.notify()

    async def _register(self, socket: web.WebSocketResponse) -> ConnectedWorker | None:
        """Read until `register` and answer it; None when the worker is not to be had."""
        try:
            async with asyncio.timeout(REGISTER_SECONDS):
                message = await self._receive(socket)
                while message is not None and message.WhichOneof("message") == "ping":
                    await socket.send_bytes(_pong(message.ping).SerializeToString())
                    message = await self._receive(socket)
        except TimeoutError:
            return None
        if message is None or message.WhichOneof("message") != "register" or message.register.type not in TYPES:
            return None
        return await self._answer_register(socket, message.register)

    async def _answer_register(
        self, socket: web.WebSocketResponse, registration: agent.RegisterWorkerRequest
    ) -> ConnectedWorker | None:
        faults = self._dispatcher.faults
        if faults.silent:
            await socket.receive()  # until the worker gives up
            return None
        if faults.register_delay:
            await asyncio.sleep(faults.register_delay)
        if faults.garbage:
            await socket.send_bytes(GARBAGE)
            await socket.receive()
            return None
        worker = ConnectedWorker(socket, registration)
        answer = agent.RegisterWorkerResponse(worker_id=worker.id)
        answer.server_info.version = "1.13.5"
        answer.server_info.protocol = 16
        answer.server_info.agent_protocol = 1
        await worker.send(agent.ServerMessage(register=answer))
        return worker

    @staticmethod
    async def _receive(socket: web.WebSocketResponse) -> agent.WorkerMessage | None:
        """The next message; None at the end, which bytes that are no message bring about too."""
        frame = await socket.receive()
        if frame.type is not WSMsgType.BINARY:
            return None
        message = agent.WorkerMessage()
        try:
            message.ParseFromString(frame.data)
        except DecodeError:
            return None
        return message

    async def _handle(self, worker: ConnectedWorker, message: agent.WorkerMessage) -> None:
        match message.WhichOneof("message"):
            case "availability":
                self._dispatcher.take_answer(worker, message.availability)
            case "update_worker":
                worker.take_report(message.update_worker)
            case "update_job":
                self._dispatcher.take_status(worker, message.update_job)
            case "ping":
                await worker.send(_pong(message.ping))
            case "simulate_job":
                self._dispatcher.start(self._dispatcher.simulate(worker, message.simulate_job))
            case _:
                pass  # the real server does nothing about migrate_job either


def _pong(ping: agent.WorkerPing) -> agent.ServerMessage:
    now = int(time.time() * 1000)
    return agent.ServerMessage(pong=agent.WorkerPong(last_timestamp=ping.timestamp, timestamp=now))
