"""The tokens that the host signs, read back with the key."""

import subprocess
import sys
from typing import Any

import jwt
import pytest
from msgspec.structs import replace

from agenthost.config.model import Permissions
from agenthost.dispatch.token import GUEST_TOKEN_SECONDS, Credentials, api_token, guest_token, job_token, worker_token

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


@pytest.mark.parametrize("token", ["", "no token", "a.b", "a.b.c", "a.Zm9v.c", "a.W10.c", "a.\u00e9.c"])
def test_what_is_no_token_is_said_to_be_none(token: str) -> None:
    """Three parts, the middle one a JSON object: whatever else a server sends."""
    with pytest.raises(ValueError, match="the server's token"):
        job_token(token, LISTENER, KEYS)


def test_names_of_every_alphabet_survive() -> None:
    """As they are signed, and whatever length the parts are padded to."""
    for name in ("\u00e9", "\u65e5\u672c", "a", "ab", "abc", "abcd"):
        told = jwt.encode({**SERVERS, "name": name}, "the server's own secret, 32 characters long")
        assert read(job_token(told, LISTENER, KEYS))["name"] == name


def test_no_library_of_ciphers_is_loaded() -> None:
    """It would be 4 MB of every host."""
    code = "import sys, agenthost.host.host; print([name for name in ('jwt', 'cryptography') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_guest_token_is_a_callers_for_one_room() -> None:
    """No agent, no admin: what a caller may do, as the identity that was made up."""
    claims = read(guest_token(KEYS, "r", "guest-1"))
    assert claims["sub"] == "guest-1"
    assert claims["video"] == {
        "roomJoin": True,
        "room": "r",
        "canPublish": True,
        "canSubscribe": True,
        "canPublishData": True,
    }
    assert claims["exp"] - claims["nbf"] == 60 + GUEST_TOKEN_SECONDS
