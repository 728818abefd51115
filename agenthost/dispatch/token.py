"""The tokens the host signs: for its worker sockets and its own calls, a job's for its room and for the server API.

By hand, since HS256 is one call of hmac: importing livekit.api costs the host a tenth of a second at start and 6 MB
for classes it never uses, and PyJWT brings the whole of `cryptography` for algorithms that LiveKit does not have.
"""

import base64
import hmac
import time
from collections.abc import Mapping
from typing import Any

from msgspec import json

from agenthost.config.model import Permissions
from agenthost.values import Discreet

WORKER_TOKEN_SECONDS = 600
"""How long a worker token may be used to open a socket; an open one outlives it."""

API_TOKEN_SECONDS = 3600
"""Life of a job's API token; the host sends a fresh one after two thirds of it."""

CALL_TOKEN_SECONDS = 60

GUEST_TOKEN_SECONDS = 600
"""How long a guest has to join; who is in the room stays there."""


class Credentials(Discreet, frozen=True, kw_only=True):
    """An API key pair of the LiveKit server."""

    not_shown = frozenset({"api_secret"})

    api_key: str
    api_secret: str


def worker_token(credentials: Credentials) -> str:
    """The bearer token of the worker socket: VideoGrants(agent=True)."""
    return _sign({"video": {"agent": True}}, credentials, WORKER_TOKEN_SECONDS)


def call_token(credentials: Credentials, room: str = "") -> str:
    """For one call of the server API by the host itself: admin of `room`, or, without one, listing the rooms."""
    grants = {"roomAdmin": True, "room": room} if room else {"roomList": True}
    return _sign({"video": grants}, credentials, CALL_TOKEN_SECONDS)


def api_token(credentials: Credentials, room: str) -> str:
    """What `ctx.api` of one job works with: admin of its room, SIP, and creating and deleting rooms.

    DeleteRoom asks for roomCreate, which the server does not bind to one room.
    """
    grants = {
        "video": {"roomAdmin": True, "room": room, "roomCreate": True},
        "sip": {"admin": True, "call": True},
    }
    return _sign(grants, credentials, API_TOKEN_SECONDS)


def guest_token(credentials: Credentials, room: str, identity: str) -> str:
    """To join `room` as `identity` and do there what a caller may do."""
    may = {"canPublish": True, "canSubscribe": True, "canPublishData": True}
    grants = {"sub": identity, "video": {"roomJoin": True, "room": room, **may}}
    return _sign(grants, credentials, GUEST_TOKEN_SECONDS)


def job_token(server_token: str, permissions: Permissions, credentials: Credentials) -> str:
    """The server's join token with our permissions, signed again; everything else in it is kept.

    The server ignores `can_publish_sources` of a registration, and a registration cannot be changed while it is
    open; the token is what it enforces. To the server an empty list of sources is every source, so one that allows
    none takes `can_publish` away. Raises ValueError when `server_token` is none.
    """
    claims = _claims(server_token)
    video = dict(claims.get("video", {}))
    video |= {
        "canPublish": permissions.can_publish and permissions.can_publish_sources != (),
        "canSubscribe": permissions.can_subscribe,
        "canPublishData": permissions.can_publish_data,
        "canUpdateOwnMetadata": permissions.can_update_metadata,
        "canSubscribeMetrics": permissions.can_subscribe_metrics,
        "hidden": permissions.hidden,
    }
    video.pop("canPublishSources", None)
    if permissions.can_publish_sources:
        video["canPublishSources"] = list(permissions.can_publish_sources)
    return _encode(claims | {"video": video}, credentials.api_secret)


def _sign(grants: Mapping[str, Any], credentials: Credentials, seconds: float) -> str:
    now = int(time.time())
    # A minute of grace for a host whose clock runs ahead of the server's.
    claims = {"iss": credentials.api_key, "nbf": now - 60, "exp": now + int(seconds), **grants}
    return _encode(claims, credentials.api_secret)


def _encode(claims: Mapping[str, Any], secret: str) -> str:
    """A JSON web token (RFC 7519) with the only algorithm that LiveKit takes."""
    signed = _HEADER + b"." + _base64(json.encode(claims))
    return (signed + b"." + _base64(hmac.digest(secret.encode(), signed, "sha256"))).decode()


def _claims(token: str) -> dict[str, Any]:
    """What a token says; whoever gave it to us is believed. Raises ValueError when it is none."""
    try:
        _header, body, _signature = token.split(".")
        claims = json.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except ValueError as error:
        raise ValueError("the server's token is no JSON web token") from error
    if not isinstance(claims, dict):
        raise ValueError("the server's token has no claims")
    return claims


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


_HEADER = _base64(json.encode({"alg": "HS256", "typ": "JWT"}))
