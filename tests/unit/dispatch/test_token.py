"""The tokens that the host signs, read back with the key."""

import hmac
import json
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from typing import Any

import jwt
import pytest
from msgspec.structs import replace

from agenthost.config.model import Permissions
from agenthost.dispatch.token import (
    GUEST_TOKEN_SECONDS,
    Credentials,
    TokenRefused,
    api_token,
    call_token,
    guest_token,
    job_token,
    worker_token,
)
from agenthost.jobs import JOB_GRANTS

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
SERVERS: dict[str, Any] = {
    "exp": int(time.time()) + 3600,
    "sub": "agent-1",
    "name": "Agent",
    "kind": "agent",
    "iss": "devkey",
    "identity": "agent-1",
    "attributes": {"lk.agent_name": "support"},
    "video": {"roomJoin": True, "room": "r", "agent": True, "canPublish": True, "canPublishSources": ["camera"]},
}


def read(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, KEYS.api_secret, algorithms=["HS256"])
    return claims


def signed_again(
    claims: dict[str, Any] | None = None,
    permissions: Permissions = LISTENER,
    secret: str = KEYS.api_secret,
    algorithm: str = "HS256",
) -> dict[str, Any]:
    """What the host's token for a job says, after the server sent one with these claims."""
    told = jwt.encode(SERVERS | (claims or {}), secret, algorithm)
    return read(job_token(told, permissions, KEYS, room="r", identity="agent-1"))


def test_job_token_has_our_permissions_and_the_servers_participant() -> None:
    """Only the video permissions change: identity, kind, attributes and the agent grant stay the server's."""
    signed = signed_again()
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
    video = signed_again(permissions=replace(LISTENER, can_publish=True, can_publish_sources=()))["video"]
    assert video["canPublish"] is False
    assert "canPublishSources" not in video


@pytest.mark.parametrize(
    ("claims", "secret", "algorithm"),
    [
        ({}, "another secret of at least 32 characters", "HS256"),
        ({}, KEYS.api_secret * 2, "HS512"),
        ({}, "", "none"),
        ({"iss": "another key"}, KEYS.api_secret, "HS256"),
    ],
    ids=["secret", "another algorithm", "unsigned", "issuer"],
)
def test_what_our_key_did_not_sign_is_not_signed_again(claims: dict[str, Any], secret: str, algorithm: str) -> None:
    """Whoever answers in the server's place would get any grant signed."""
    with pytest.raises(TokenRefused, match=r"^token not signed by this key$"):
        signed_again(claims, secret=secret, algorithm=algorithm)


def test_header_must_name_the_algorithm_that_was_used() -> None:
    """Signed by our secret with HMAC-SHA256, and said to be signed otherwise."""
    header, claims = (urlsafe_b64encode(json.dumps(part).encode()) for part in ({"alg": "none"}, SERVERS))
    signed = header.rstrip(b"=") + b"." + claims.rstrip(b"=")
    signature = urlsafe_b64encode(hmac.digest(KEYS.api_secret.encode(), signed, "sha256")).rstrip(b"=")
    with pytest.raises(TokenRefused, match="not signed by this key"):
        job_token((signed + b"." + signature).decode(), LISTENER, KEYS, room="r", identity="agent-1")


def test_changed_claims_are_not_signed_again() -> None:
    """The header and signature of a good token around other claims."""
    header, _, signature = jwt.encode(SERVERS, KEYS.api_secret).split(".")
    claims = jwt.encode(SERVERS | {"sub": "boss"}, KEYS.api_secret).split(".")[1]
    with pytest.raises(TokenRefused, match="not signed by this key"):
        job_token(f"{header}.{claims}.{signature}", LISTENER, KEYS, room="r", identity="boss")


def test_only_what_a_jobs_token_has_is_signed_again() -> None:
    """Of everything else that LiveKit knows, and of what it may come to know, nothing."""
    powers = {"roomAdmin", "roomCreate", "roomList", "roomRecord", "ingressAdmin", "recorder", "newPower"}
    video = SERVERS["video"] | dict.fromkeys(powers, True) | {"destinationRoom": "s"}
    more = {name: {"admin": True} for name in ("sip", "inference", "observability", "agent", "roomConfig", "new")}
    assert signed_again({"video": video, **more}) == signed_again()


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "somebody"},
        {"video": {"roomJoin": True, "room": "another"}},
        {"video": {"roomJoin": False, "room": "r"}},
        {"video": {"roomAdmin": True, "room": "r"}},
        {"video": "everything"},
    ],
)
def test_token_of_another_room_or_identity_is_refused(claims: dict[str, Any]) -> None:
    """Our secret signs more than joins: what it signed for something else must not become one."""
    with pytest.raises(TokenRefused, match="does not let 'agent-1' join room 'r'"):
        signed_again(claims)


@pytest.mark.parametrize(
    "token", [worker_token(KEYS), call_token(KEYS), call_token(KEYS, "r"), api_token(KEYS, "r", ["room_admin"])]
)
def test_tokens_that_the_host_made_do_not_come_back_as_a_jobs(token: str) -> None:
    """The server is shown them, and with it whoever answers in its place."""
    with pytest.raises(TokenRefused, match="does not let"):
        job_token(token, LISTENER, KEYS, room="r", identity="agent-1")


def test_token_that_has_ended_stays_one_that_has_ended() -> None:
    """The server goes by its own clock; ours may be wrong by hours, and ends no call."""
    ended = SERVERS | {"exp": int(time.time()) - 7200}
    signed = job_token(jwt.encode(ended, KEYS.api_secret), LISTENER, KEYS, room="r", identity="agent-1")
    told = jwt.decode(signed, KEYS.api_secret, algorithms=["HS256"], options={"verify_exp": False, "verify_aud": False})
    assert told["exp"] == ended["exp"]


def test_api_token_is_bound_to_the_room_and_has_the_grants_given() -> None:
    """Admin of this room and no other; creating rooms cannot be bound."""
    claims = read(api_token(KEYS, "r", ["room_admin", "room_create", "sip_call"]))
    assert claims["video"] == {"roomAdmin": True, "room": "r", "roomCreate": True}
    assert claims["sip"] == {"call": True}
    assert claims["exp"] - claims["nbf"] == 3660


def test_every_grant_of_the_file_has_its_place_in_the_token() -> None:
    """And nothing else is in it."""
    claims = read(api_token(KEYS, "r", JOB_GRANTS))
    assert len(claims["video"]) + len(claims["sip"]) == len(JOB_GRANTS) + 1
    none = read(api_token(KEYS, "r", ()))
    assert (none["video"], none["sip"]) == ({"room": "r"}, {})


def test_worker_token_may_register_and_nothing_else() -> None:
    """VideoGrants(agent=True)."""
    claims = read(worker_token(KEYS))
    assert (claims["iss"], claims["video"]) == ("devkey", {"agent": True})


def test_secret_is_in_no_text_of_the_credentials() -> None:
    """A credentials object may end up in a log."""
    assert KEYS.api_secret not in repr(KEYS) + str(KEYS)


@pytest.mark.parametrize(
    "token",
    ["", "no token", "a.b", "a.b.c", "a.Zm9v.c", "a.W10.c", "a.\u00e9.c", "W10.e30.c", "\ud83d.e30.c", "e30.e30.e30.c"],
)
def test_what_is_no_token_is_said_to_be_none(token: str) -> None:
    """Three parts, the middle one a JSON object: whatever else a server sends."""
    with pytest.raises(TokenRefused, match="the server's token"):
        job_token(token, LISTENER, KEYS, room="r", identity="agent-1")


def test_names_of_every_alphabet_survive() -> None:
    """As they are signed, and whatever length the parts are padded to."""
    for name in ("\u00e9", "\u65e5\u672c", "a", "ab", "abc", "abcd"):
        assert signed_again({"name": name})["name"] == name


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
