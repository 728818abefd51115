"""The tokens the host signs: for its worker sockets and its own calls, a job's for its room and for the server API.

By hand, since HS256 is one call of hmac: importing livekit.api costs the host a tenth of a second at start and 6 MB
for classes it never uses, and PyJWT brings the whole of `cryptography` for algorithms that LiveKit does not have.
"""

import base64
import hmac
import time
from collections.abc import Iterable, Mapping
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


class TokenRefused(ValueError):
    """The server's token for a job is none that its LiveKit server would have made; the text says why."""


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


def api_token(credentials: Credentials, room: str, grants: Iterable[str]) -> str:
    """What `ctx.api` of one job works with: `grants` as in `livekit.job_grants`, admin of its own room alone.

    The server binds no other grant to a room: DeleteRoom, for one, asks for `room_create`.
    """
    granted: dict[str, dict[str, Any]] = {"video": {"room": room}, "sip": {}}
    for grant in grants:
        section, name = _API_GRANTS[grant]
        granted[section][name] = True
    return _sign(granted, credentials, API_TOKEN_SECONDS)


def guest_token(credentials: Credentials, room: str, identity: str) -> str:
    """To join `room` as `identity` and do there what a caller may do."""
    may = {"canPublish": True, "canSubscribe": True, "canPublishData": True}
    grants = {"sub": identity, "video": {"roomJoin": True, "room": room, **may}}
    return _sign(grants, credentials, GUEST_TOKEN_SECONDS)


def job_token(
    server_token: str, permissions: Permissions, credentials: Credentials, *, room: str, identity: str
) -> str:
    """The server's join token with our permissions, signed again.

    Only what such a token has is taken over, and only from one that our own secret signed, for this room and identity:
    whoever answers in the server's place would otherwise have us sign what it likes. Raises TokenRefused.

    The server ignores `can_publish_sources` of a registration, and a registration cannot be changed while it is
    open; the token is what it enforces. To the server an empty list of sources is every source, so one that allows
    none takes `can_publish` away.
    """
    claims = _verified(server_token, credentials)
    granted = claims.get("video")
    video = {name: value for name, value in granted.items() if name in _GRANTS} if isinstance(granted, dict) else {}
    if video.get("roomJoin") is not True or video.get("room") != room or claims.get("sub") != identity:
        raise TokenRefused(f"the server's token does not let {identity!r} join room {room!r}")
    video |= {
        "canPublish": permissions.can_publish and permissions.can_publish_sources != (),
        "canSubscribe": permissions.can_subscribe,
        "canPublishData": permissions.can_publish_data,
        "canUpdateOwnMetadata": permissions.can_update_metadata,
        "canSubscribeMetrics": permissions.can_subscribe_metrics,
        "hidden": permissions.hidden,
    }
    if permissions.can_publish_sources:
        video["canPublishSources"] = list(permissions.can_publish_sources)
    kept = {name: value for name, value in claims.items() if name in _CLAIMS}
    return _encode(kept | {"video": video}, credentials.api_secret)


def _sign(grants: Mapping[str, Any], credentials: Credentials, seconds: float) -> str:
    now = int(time.time())
    # A minute of grace for a host whose clock runs ahead of the server's.
    claims = {"iss": credentials.api_key, "nbf": now - 60, "exp": now + int(seconds), **grants}
    return _encode(claims, credentials.api_secret)


def _encode(claims: Mapping[str, Any], secret: str) -> str:
    """A JSON web token (RFC 7519) with the only algorithm that LiveKit takes."""
    signed = _HEADER + b"." + _base64(json.encode(claims))
    return (signed + b"." + _signature(signed, secret)).decode()


def _verified(token: str, credentials: Credentials) -> dict[str, Any]:
    """What a token says that `credentials` signed. Raises TokenRefused for any other.

    Its end is not looked at: it stays what it is, the server goes by it, and this machine's clock may be wrong.
    """
    header, claims, signed, signature = _parts(token)
    is_signed = hmac.compare_digest(_signature(signed, credentials.api_secret), signature)
    if not is_signed or header.get("alg") != "HS256" or claims.get("iss") != credentials.api_key:
        raise TokenRefused("token not signed by this key")
    return claims


def _parts(token: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    """Header, claims, what is signed, and the signature. Raises TokenRefused when it is no token."""
    try:
        signed, _, signature = token.encode().rpartition(b".")
        header, claims = (json.decode(base64.urlsafe_b64decode(part + b"==")) for part in signed.split(b"."))
    except ValueError as error:
        raise TokenRefused("the server's token is no JSON web token") from error
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise TokenRefused("the server's token is no JSON web token")
    return header, claims, signed, signature


def _signature(signed: bytes, secret: str) -> bytes:
    return _base64(hmac.digest(secret.encode(), signed, "sha256"))


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


_HEADER = _base64(json.encode({"alg": "HS256", "typ": "JWT"}))

_API_GRANTS: Mapping[str, tuple[str, str]] = {
    "room_admin": ("video", "roomAdmin"),
    "room_create": ("video", "roomCreate"),
    "room_list": ("video", "roomList"),
    "room_record": ("video", "roomRecord"),
    "ingress_admin": ("video", "ingressAdmin"),
    "sip_admin": ("sip", "admin"),
    "sip_call": ("sip", "call"),
}
"""As the file has them → where a token has them."""

# What livekit-server 1.13.5 puts into a job's token (`BuildAgentToken` of livekit/protocol, agent/token.go), with
# what every LiveKit token may have that gives its holder nothing.
_CLAIMS = frozenset(
    {"iss", "sub", "nbf", "exp", "iat", "jti", "identity", "name", "kind", "kindDetails", "metadata", "attributes"}
)
_GRANTS = frozenset({"roomJoin", "room", "agent"})
"""Of `video`, besides the permissions, which are the configuration's and not the server's."""
