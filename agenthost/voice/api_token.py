"""livekit-agents' `ctx.api`: the host's way to the server, and its token without the pair. Runs in job processes.

Theirs goes by the proxy of HTTPS_PROXY or HTTP_PROXY, whatever NO_PROXY says: where the host goes another way, so does
it. The token is used where the file says `livekit.secret_in_jobs: false`; with the raw pair their client signs its own
requests. What livekit-agents uploads to LiveKit Cloud it can sign with the pair alone: else there is no recording.
"""

import os
from collections.abc import Callable
from typing import Any

from livekit import api

from agenthost.context.api import explain_refusals, renew_client, session_by_proxy
from agenthost.ipc.messages import StartJob
from agenthost.kernel import LIVEKIT_PROXY
from agenthost.logs.events import get_logger

_VARIABLE = "LIVEKIT_TOKEN"  # where LiveKit's API client looks for a token

log = get_logger("voice")


class ApiToken:
    """The token of one job. `attach` it to the context whose `api` shall use it."""

    def __init__(self, start: StartJob, *, proxy: str) -> None:
        """`proxy` is what their own sessions go through."""
        self._file = start.file
        self._proxy = proxy
        self._client: api.LiveKitAPI | None = None
        self._session: Any = None
        self._has_pair = bool(start.api_key and start.api_secret)
        self._context: Any = None
        if not self._has_pair:
            os.environ["LIVEKIT_URL"] = start.url
            os.environ[_VARIABLE] = start.api_token

    def attach(self, context: Any) -> None:
        self._context = context
        if self._proxy != os.environ.get(LIVEKIT_PROXY, ""):
            self._session = session_by_proxy()
            self._client = vars(context)["api"] = api.LiveKitAPI(session=self._session)
        if self._has_pair:
            return
        explain_refusals(context.api, self._file)
        if hasattr(context, "init_recording"):
            context.init_recording = _without_pair(context, context.init_recording)

    async def close(self) -> None:
        """Of what was made here."""
        if self._client is not None:
            await self._client.aclose()
        if self._session is not None:
            await self._session.close()

    def renew(self, token: str) -> None:
        """Use `token` from the next request on."""
        if self._has_pair:
            return
        os.environ[_VARIABLE] = token
        client = vars(self._context).get("api") if self._context is not None else None  # a cached property
        if client is not None:
            renew_client(client, token)


def _without_pair(context: Any, init_recording: Callable[[Any], None]) -> Callable[[Any], None]:
    """`init_recording` as one that does not end the session when it has nothing to sign with."""

    def init_recorded(options: Any) -> None:
        try:
            init_recording(options)
        except ValueError as error:
            log.error(
                "the session is not recorded",
                error=str(error),
                reason="uploads to LiveKit Cloud are signed with the API key and secret, which the file withholds",
                hint="take `livekit.secret_in_jobs: false` out of the file, or switch the recording off",
            )
            context._stop_log_buffering()

    return init_recorded
