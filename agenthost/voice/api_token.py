"""livekit-agents' `ctx.api` without the key and the secret: on the token that the host mints. Runs in job processes.

Only where the file says `livekit.secret_in_jobs: false`; with the raw pair their client signs its own requests.
"""

import os
from typing import Any

from agenthost.context.api import renew_client
from agenthost.ipc.messages import StartJob

_VARIABLE = "LIVEKIT_TOKEN"  # where LiveKit's API client looks for a token


class ApiToken:
    """The token of one job. `attach` it to the context whose `api` shall use it."""

    def __init__(self, start: StartJob) -> None:
        self._has_pair = bool(start.api_key and start.api_secret)
        self._context: Any = None
        if not self._has_pair:
            os.environ["LIVEKIT_URL"] = start.url
            os.environ[_VARIABLE] = start.api_token

    def attach(self, context: Any) -> None:
        self._context = context

    def renew(self, token: str) -> None:
        """Use `token` from the next request on."""
        if self._has_pair:
            return
        os.environ[_VARIABLE] = token
        client = vars(self._context).get("api") if self._context is not None else None  # a cached property
        if client is not None:
            renew_client(client, token)
