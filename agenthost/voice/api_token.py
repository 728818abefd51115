"""livekit-agents' `ctx.api` without the key and the secret: on the token that the host mints. Runs in job processes.

Only where the file says `livekit.secret_in_jobs: false`; with the raw pair their client signs its own requests. What
livekit-agents uploads to LiveKit Cloud it can sign with the pair alone: without it there is no recording.
"""

import os
from collections.abc import Callable
from typing import Any

from agenthost.context.api import explain_refusals, renew_client
from agenthost.ipc.messages import StartJob
from agenthost.logs.events import get_logger

_VARIABLE = "LIVEKIT_TOKEN"  # where LiveKit's API client looks for a token

log = get_logger("voice")


class ApiToken:
    """The token of one job. `attach` it to the context whose `api` shall use it."""

    def __init__(self, start: StartJob) -> None:
        self._file = start.file
        self._has_pair = bool(start.api_key and start.api_secret)
        self._context: Any = None
        if not self._has_pair:
            os.environ["LIVEKIT_URL"] = start.url
            os.environ[_VARIABLE] = start.api_token

    def attach(self, context: Any) -> None:
        self._context = context
        if self._has_pair:
            return
        explain_refusals(context.api, self._file)
        if hasattr(context, "init_recording"):
            context.init_recording = _without_pair(context, context.init_recording)

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
