"""The LiveKit server API as a job has it: on a token that the host mints and renews. Runs in job processes.

The job holds no secret: the token allows what `livekit.job_grants` has, and what it does not allow is refused with a
word on where to allow it. Only where the file says `livekit.secret_in_jobs: true` the job signs its own requests with
the raw pair.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from agenthost.context.grants import missing_grant
from agenthost.errors import EntrypointError
from agenthost.kernel import LIVEKIT_PROXY

if TYPE_CHECKING:
    import aiohttp
    from livekit import api
    from livekit.api.access_token import Claims

T = TypeVar("T")

SERVICES = ("room", "ingress", "egress", "sip", "agent_dispatch", "connector")
"""Of LiveKitAPI, each with a token of its own."""


class ApiAccess:
    """Makes the client when it is first asked for, renews its token, and closes it with the job.

    `url` is the server's (ws or http); `key` and `secret` are empty unless jobs are given the raw pair. `file` is
    where the grants of the token are written, "" where there is none.
    """

    def __init__(self, *, url: str, token: str, key: str = "", secret: str = "", file: str = "") -> None:
        self._url = url
        self._token = token
        self._key = key
        self._secret = secret
        self._file = file
        self._client: api.LiveKitAPI | None = None
        self._session: aiohttp.ClientSession | None = None
        self._requests: set[asyncio.Task[Any]] = set()

    @property
    def client(self) -> "api.LiveKitAPI":
        """The one client of this job. Needs a running loop. Raises EntrypointError where its token cannot be renewed:
        it would fail an hour into a call."""
        if self._client is None:
            from livekit import api

            self._session = session_by_proxy()
            if self._key and self._secret:
                self._client = api.LiveKitAPI(self._url, self._key, self._secret, session=self._session)
            else:
                client = api.LiveKitAPI.with_token(self._token, self._url, session=self._session)
                self._client = self._on_token(client)
        return self._client

    def renew(self, token: str) -> None:
        """Use `token` from the next request on, also in services that user code holds on to."""
        self._token = token
        if self._client is None or (self._key and self._secret):
            return
        renew_client(self._client, token)

    def start(self, request: Coroutine[Any, Any, T], name: str) -> "asyncio.Task[T]":
        """Run a request now, whether or not the caller awaits it; asyncio logs an error that nobody awaits."""
        task = asyncio.create_task(request, name=name)
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)
        return task

    @property
    def requests(self) -> frozenset[asyncio.Task[Any]]:
        """The requests begun with `start` that are under way."""
        return frozenset(self._requests)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
        if self._session is not None:
            await self._session.close()

    def _on_token(self, client: "api.LiveKitAPI") -> "api.LiveKitAPI":
        try:
            check_client(client, self._token)
        except EntrypointError:
            self.start(client.aclose(), "agenthost: close the client")
            raise
        explain_refusals(client, self._file)
        return client


def session_by_proxy() -> "aiohttp.ClientSession | None":
    """Where the host goes through a proxy to LiveKit's server, a session that does so; it is the caller's to close."""
    proxy = os.environ.get(LIVEKIT_PROXY)
    if not proxy:
        return None  # the client's own goes straight
    import aiohttp

    return aiohttp.ClientSession(proxy=proxy, timeout=aiohttp.ClientTimeout(total=10))  # as livekit-api's own


def renew_client(client: "api.LiveKitAPI", token: str) -> None:
    """Let a client that was made with a token use another one from its next request on."""
    # livekit-api 1.2.2 has no public way to change the token of a client; its services read this at each request:
    # https://github.com/livekit/python-sdks/blob/main/livekit-api/livekit/api/_service.py
    for name in SERVICES:
        getattr(client, name)._token = token


def check_client(client: "api.LiveKitAPI", token: str) -> None:
    """Raises EntrypointError that names every service in which `renew_client` would not find the token."""
    from livekit.api.version import __version__

    lacking = [name for name in SERVICES if getattr(getattr(client, name, None), "_token", None) != token]
    if lacking:
        raise EntrypointError(
            f"livekit-api {__version__} does not fit: there is no token to renew in its LiveKitAPI's "
            f"{', '.join(lacking)}. Install a version that this agenthost was tried with, or a newer agenthost"
        )


def explain_refusals(client: "api.LiveKitAPI", file: str) -> None:
    """Have the errors of a client that was made with a token say which grant is missing, and where to write it.

    `file` as for `missing_grant`.
    """
    # All that livekit-api 1.2.2 asks of the server goes through this method, which each service has an object of:
    # https://github.com/livekit/python-sdks/blob/main/livekit-api/livekit/api/twirp_client.py
    for name in SERVICES:
        twirp = getattr(client, name)._client
        twirp.request = _explained(twirp.request, file)


def _explained(request: Callable[..., Awaitable[Any]], file: str) -> Callable[..., Awaitable[Any]]:
    async def explained(
        service: str, method: str, data: Any, headers: Mapping[str, str], *args: Any, **kwargs: Any
    ) -> Any:
        from livekit import api

        try:
            return await request(service, method, data, headers, *args, **kwargs)
        except api.TwirpError as error:
            if error.code not in (api.TwirpErrorCode.UNAUTHENTICATED, api.TwirpErrorCode.PERMISSION_DENIED):
                raise
            claims = _claims(headers)
            room = getattr(data, "room", "") or getattr(data, "room_name", "")
            hint = missing_grant(service, method, room, claims, file) if claims is not None else ""
            if not hint:
                raise
            text = f"{error.message}: {hint}"
            raise api.TwirpError(error.code, text, status=error.status, metadata=error.metadata) from None

    return explained


def _claims(headers: Mapping[str, str]) -> "Claims | None":
    import jwt
    from livekit.api import TokenVerifier

    try:
        return TokenVerifier().verify(headers.get("authorization", "").removeprefix("Bearer "), verify_signature=False)
    except jwt.InvalidTokenError:
        return None


async def delete_room(access: ApiAccess, name: str) -> "api.DeleteRoomResponse":
    """Delete a room; one that is gone already is as wanted."""
    from livekit import api

    try:
        return await access.client.room.delete_room(api.DeleteRoomRequest(room=name))
    except api.TwirpError as error:
        if error.code != api.TwirpErrorCode.NOT_FOUND:
            raise
        return api.DeleteRoomResponse()
