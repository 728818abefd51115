"""The tokens that the host signs, read back with the key."""

from dataclasses import replace
from typing import Any

import jwt

from agenthost.config.model import Permissions
from agenthost.dispatch.token import Credentials, api_token, job_token, worker_token

KEYS = Credentials(api_key="devkey", api_secret="a-secret-of-at-least-32-characters")
LISTENER = Permissions(
    can_publish=False,
    can_subscribe=True,
    can_publish_data=False,
    can_update_metadata=False,
    hidden=True,
    can_subscribe_metrics=True,
    can_publish_sources=("microphone",),
)
SERVERS = {
    "sub": "agent-1",
    "name": "Agent",
    "kind": "agent",
    "iss": "devkey",
    "attributes": {"lk.agent_name": "support"},
    "video": {"roomJoin": True, "room": "r", "agent": True, "canPublish": True, "canPublishSources": ["camera"]},
}


def read(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, KEYS.api_secret, algorithms=["HS256"])
    return claims


def test_job_token_has_our_permissions_and_keeps_everything_else() -> None:
    """Only the video permissions change: identity, kind, attributes and the agent grant stay the server's."""
    signed = read(job_token(jwt.encode(SERVERS, "the server's own secret, 32 characters long"), LISTENER, KEYS))
    assert {key: value for key, value in signed.items() if key != "video"} == {
        key: value for key, value in SERVERS.items() if key != "video"
    }
    assert signed["video"] == {
        "roomJoin": True,
        "room": "r",
        "agent": True,
        "canPublish": False,
        "canSubscribe": True,
        "canPublishData": False,
        "canUpdateOwnMetadata": False,
        "canSubscribeMetrics": True,
        "hidden": True,
        "canPublishSources": ["microphone"],
    }


def test_no_source_at_all_is_no_publishing() -> None:
    """To the server an empty list means every source: two agents without a source in common must not get them all."""
    nothing = replace(LISTENER, can_publish=True, can_publish_sources=())
    video = read(job_token(jwt.encode(SERVERS, "the server's own secret, 32 characters long"), nothing, KEYS))["video"]
    assert video["canPublish"] is False
    assert "canPublishSources" not in video


def test_api_token_is_bound_to_the_room() -> None:
    """Admin of this room and no other; creating rooms cannot be bound."""
    claims = read(api_token(KEYS, "r"))
    assert claims["video"] == {"roomAdmin": True, "room": "r", "roomCreate": True}
    assert claims["sip"] == {"admin": True, "call": True}
    assert claims["exp"] - claims["nbf"] == 3660


def test_worker_token_may_register_and_nothing_else() -> None:
    """VideoGrants(agent=True)."""
    claims = read(worker_token(KEYS))
    assert (claims["iss"], claims["video"]) == ("devkey", {"agent": True})


def test_secret_is_in_no_text_of_the_credentials() -> None:
    """A credentials object may end up in a log."""
    assert KEYS.api_secret not in repr(KEYS) + str(KEYS)
