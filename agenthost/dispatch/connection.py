"""One websocket to the LiveKit server's worker endpoint: open, send, receive, notice when it is dead.

Runs on the host's loop. A connection is used once: when it is lost, the registration opens another. A dead peer is
noticed by our own ping (every 10 s): any frame counts as life, silence for another 10 s as death, also when TCP still
believes in it.
"""

import asyncio
import os
import time
from urllib.parse import urlsplit

import aiohttp
from msgspec import Struct

from agenthost.dispatch import wire
from agenthost.dispatch.token import Credentials, worker_token
from agenthost.dispatch.wire import ServerEvent
from agenthost.errors import ConnectionLost, RegistrationRefused

CONNECT_SECONDS = 10.0
REGISTER_SECONDS = 10.0
"""The server gives a worker 10 s for its first message and itself no limit for the answer (protocol.md)."""

PING_SECONDS = 10.0


class ServerAddress(Struct, frozen=True, kw_only=True):
    """Where and how to reach the LiveKit server. `url` is ws(s):// or http(s)://; `proxy` an HTTP proxy's URL."""

    url: str
    credentials: Credentials
    proxy: str | None = None

    @property
    def worker_url(self) -> str:
        scheme, rest = self.url.split("://", 1)
        return f"{scheme.replace('http', 'ws')}://{rest.rstrip('/')}/agent"

    @property
    def shown(self) -> str:
        """The URL as it may be logged: without user or password."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


class Connection:
    """An open worker socket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, shown: str) -> None:
        self._socket = socket
        self._shown = shown

    async def send(self, data: bytes) -> None:
        """Raises ConnectionLost when the socket is closed."""
        try:
            await self._socket.send_bytes(data)
        except (aiohttp.ClientError, ConnectionError) as error:
            raise ConnectionLost(f"the connection to {self._shown} broke while sending: {error}") from error

    async def receive(self) -> ServerEvent:
        """The next event, pings included in the waiting. Raises ConnectionLost when there will be none."""
        pinged = False
        while True:
            try:
                frame = await self._socket.receive(timeout=PING_SECONDS)
            except TimeoutError:
                if pinged:
                    await self.close()
                    raise ConnectionLost(
                        f"{self._shown} has been silent for {2 * PING_SECONDS:.0f} s, pings included"
                    ) from None
                pinged = True
                await self.send(wire.ping(int(time.time() * 1000)))
                continue
            pinged = False
            match frame.type:
                case aiohttp.WSMsgType.BINARY:
                    return _decoded(frame.data)
                case aiohttp.WSMsgType.TEXT:
                    return wire.Unreadable(error="text where the worker protocol is binary")
                case _:
                    raise ConnectionLost(f"{self._shown} closed the connection ({_why_closed(self._socket)})")

    async def receive_first(self) -> wire.Registered:
        """The answer to `register`. Raises ConnectionLost when it is something else or does not come in time."""
        try:
            async with asyncio.timeout(REGISTER_SECONDS):
                event = await self.receive()
        except TimeoutError:
            raise ConnectionLost(
                f"{self._shown} accepted the connection but did not answer the registration in {REGISTER_SECONDS:.0f} s"
            ) from None
        if isinstance(event, wire.Unreadable):
            raise ConnectionLost(f"{self._shown} sent {event.error}; is it a LiveKit server?")
        if not isinstance(event, wire.Registered):
            raise ConnectionLost(f"{self._shown} answered the registration with {type(event).__name__}")
        return event

    async def close(self) -> None:
        await self._socket.close()


async def connect(session: aiohttp.ClientSession, address: ServerAddress) -> Connection:
    """Open the worker socket.

    Raises RegistrationRefused when the server does not take the credentials, ConnectionLost for everything else.
    """
    headers = {"Authorization": f"Bearer {worker_token(address.credentials)}"}
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            socket = await session.ws_connect(
                address.worker_url, headers=headers, proxy=address.proxy, autoclose=True, max_msg_size=0
            )
    except aiohttp.WSServerHandshakeError as error:
        raise _refusal(error, address) from None
    except TimeoutError:
        what = "finish the TLS handshake or answer" if address.worker_url.startswith("wss:") else "answer"
        raise ConnectionLost(f"{address.shown} did not {what} in {CONNECT_SECONDS:.0f} s") from None
    except (aiohttp.ClientError, OSError) as error:
        raise ConnectionLost(f"{address.shown} cannot be reached: {_reason(error)}") from None
    return Connection(socket, address.shown)


def _decoded(data: bytes) -> ServerEvent:
    try:
        return wire.decode(data)
    except Exception as error:  # one message: those before and after it, and the jobs of this socket, go on
        return wire.Undecoded(error=error)


def _refusal(error: aiohttp.WSServerHandshakeError, address: ServerAddress) -> Exception:
    """Without the exception's own text: its repr shows the request's headers."""
    if error.status in (401, 403):
        return RegistrationRefused(
            f"{address.shown} refused API key {address.credentials.api_key!r} (HTTP {error.status}): "
            "check LIVEKIT_API_KEY and LIVEKIT_API_SECRET, and this machine's clock"
        )
    hint = "; is this the URL of a LiveKit server?" if error.status in (200, 404, 405) else ""
    return ConnectionLost(f"{address.shown} answered the websocket request with HTTP {error.status}{hint}")


def _reason(error: Exception) -> str:
    match error:
        case aiohttp.ClientConnectorDNSError():
            why = error.os_error.strerror or str(error.os_error)
            return f"the host name {error.host} cannot be resolved ({why}): check LIVEKIT_URL and this machine's DNS"
        case aiohttp.ClientConnectorCertificateError():
            why = getattr(error.certificate_error, "verify_message", "") or str(error.certificate_error)
            return f"its certificate is not trusted ({why}): name the file of its CA in SSL_CERT_FILE"
        case aiohttp.ClientConnectorSSLError():
            why = error.os_error.strerror or str(error.os_error)
            return f"it does not speak TLS as it should ({why}): should the URL begin with ws://?"
        case aiohttp.ClientConnectorError():
            number = error.os_error.errno  # its strerror repeats the address, or is none of the system's
            return os.strerror(number) if number and number > 0 else str(error.os_error)
        case _:
            return str(error) or type(error).__name__


def _why_closed(socket: aiohttp.ClientWebSocketResponse) -> str:
    exception = socket.exception()
    if exception is not None:
        return str(exception) or type(exception).__name__
    return f"code {socket.close_code}"
