"""Jobs that try to join a room of the fake server: there is no media, but their tokens tell what they were granted.

Runs in the test's process. The client learns in one sentence why it cannot join.
"""

import jwt
from aiohttp import web
from livekit import api
from livekit.api.access_token import Claims

from agenthost.testing.changes import Changes

NO_MEDIA = "the fake LiveKit server has no media: run what joins a room against a real server"


class Joins:
    """Serves the signal endpoints; `claims` holds the last valid token of each identity that tried to join."""

    def __init__(self, changes: Changes, *, api_key: str, api_secret: str) -> None:
        self.claims: dict[str, Claims] = {}
        self._changes = changes
        self._verifier = api.TokenVerifier(api_key, api_secret)

    async def refuse(self, request: web.Request) -> web.Response:
        """One attempt: 401 for a token that is not ours, else 403 with the reason."""
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            claims = self._verifier.verify(bearer or request.query.get("access_token", ""))
        except jwt.InvalidTokenError as error:
            return web.Response(status=401, text=f"invalid token: {error}")
        self.claims[claims.identity] = claims
        self._changes.notify()
        return web.Response(status=403, text=NO_MEDIA)
