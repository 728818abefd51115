"""What `ctx.api` may do on the real server, and what it says where the job's token lacks the grant."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from livekit import api

from tests.support.host import HostProcess, write_agent
from tests.support.polling import poll
from tests.support.protocols import RunHost
from tests.support.real_server import RealLiveKitServer

pytestmark = pytest.mark.e2e

CODE = """
import json, pathlib
from livekit import api


def calls(ctx):
    client, mine, other = ctx.api, ctx.room.name, "other-" + ctx.room.name
    members, dispatch = api.ListParticipantsRequest, api.CreateAgentDispatchRequest
    yield "admin", client.room.list_participants(members(room=mine))
    yield "admin elsewhere", client.room.list_participants(members(room=other))
    yield "dispatch", client.agent_dispatch.create_dispatch(dispatch(room=mine, agent_name="nobody"))
    yield "dispatch elsewhere", client.agent_dispatch.create_dispatch(dispatch(room=other, agent_name="nobody"))
    yield "list", client.room.list_rooms(api.ListRoomsRequest())
    agents = [api.RoomAgentDispatch(agent_name="nobody")]
    yield "create", client.room.create_room(api.CreateRoomRequest(name=other, agents=agents))
    yield "record", client.egress.list_egress(api.ListEgressRequest())
    yield "ingress", client.ingress.list_ingress(api.ListIngressRequest())
    yield "trunks", client.sip.list_inbound_trunk(api.ListSIPInboundTrunkRequest())
    call = dict(sip_trunk_id="ST_1", sip_call_to="+1", room_name=mine, participant_identity="phone")
    yield "call", client.sip.create_sip_participant(api.CreateSIPParticipantRequest(**call))


async def entrypoint(ctx):
    await ctx.connect()
    told = {}
    for name, call in calls(ctx):
        try:
            await call
            told[name] = [0, ""]
        except api.TwirpError as error:
            told[name] = [error.status, error.message]
    pathlib.Path(f"{ctx.room.name}.part").write_text(json.dumps(told))
    pathlib.Path(f"{ctx.room.name}.part").rename(f"{ctx.room.name}.json")
"""
FILE = """
agent_name: {name}
entrypoint: my_agent:entrypoint
http: {{ listen: none }}
drain_timeout: 100ms
reload: {{ watch: [config] }}
livekit: {{ {grants} }}
"""
SECONDS = 20.0
WITHOUT_REDIS = {"record", "ingress", "trunks", "call"}
"""Calls that a server without redis cannot carry out; whether it allows them it says all the same."""


class Asked:
    """A host whose jobs tell what became of each call."""

    def __init__(self, host: HostProcess, folder: Path, client: api.LiveKitAPI, name: str) -> None:
        self.host, self._folder, self._client, self.name = host, folder, client, name
        self.file = folder / "agenthost.yaml"

    async def run(self) -> dict[str, tuple[int, str]]:
        """What one new job was told: the status, 0 where it was done, and the message."""
        room = f"room-{uuid.uuid4().hex[:8]}"
        file = self._folder / f"{room}.json"
        request = api.CreateAgentDispatchRequest(agent_name=self.name, room=room)
        await self._client.agent_dispatch.create_dispatch(request)
        try:
            await poll(file.exists, timeout=SECONDS, what="the job told nothing")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.host.output()}") from None
        told: dict[str, Any] = json.loads(file.read_text())
        return {name: (status, message) for name, (status, message) in told.items()}

    async def reload(self, grants: str) -> None:
        """Save the file with other grants, and wait until it is in force."""
        write_agent(self._folder, CODE, FILE.format(name=self.name, grants=grants))
        await self.host.wait_event("reloaded", timeout=SECONDS)


@pytest.fixture
async def start(
    run_host: RunHost, livekit_server: RealLiveKitServer, livekit_api: api.LiveKitAPI, tmp_path: Path
) -> Any:
    async def start(grants: str) -> Asked:
        name = f"agent-{uuid.uuid4().hex[:8]}"
        file = write_agent(tmp_path, CODE, FILE.format(name=name, grants=grants))
        host = await run_host(file, server=livekit_server, cwd=tmp_path)
        await host.wait_event("registered")
        return Asked(host, tmp_path, livekit_api, name)

    return start


def refused(told: dict[str, tuple[int, str]]) -> dict[str, str]:
    return {name: message for name, (status, message) in told.items() if status in (401, 403)}


async def test_a_refused_call_says_which_grant_is_missing_and_where_to_write_it(start: Any) -> None:
    """The default: its own room, rooms, recordings and phones; of the rest nothing."""
    asked = await start("")
    told = await asked.run()
    assert {name for name, (status, _) in told.items() if status == 0} == {"admin", "dispatch", "create"}
    messages = refused(told)
    assert messages.keys() == {"admin elsewhere", "dispatch elsewhere", "list", "ingress"}
    has = "room_admin, room_create, room_record, sip_admin, sip_call"
    for name, call, grant in (("list", "ListRooms", "room_list"), ("ingress", "ListIngress", "ingress_admin")):
        what = f"{call} needs `{grant}`, which the job's token does not have: "
        assert messages[name].endswith(f"{what}write `livekit.job_grants: [{has}, {grant}]` in {asked.file}")
    elsewhere = "names another room, and a job's token is for its own: "
    assert (
        f"ListParticipants {elsewhere}with `livekit.secret_in_jobs: true` in {asked.file}"
        in messages["admin elsewhere"]
    )
    assert f"CreateDispatch {elsewhere}a new room can be created with its agents" in messages["dispatch elsewhere"]


async def test_the_file_gives_and_takes_grants_and_a_reload_is_for_the_next_job(start: Any) -> None:
    """No new registration and no new generation for it."""
    asked = await start("job_grants: [room_list, ingress_admin]")
    messages = refused(await asked.run())
    assert messages.keys() == {
        "admin", "admin elsewhere", "dispatch", "dispatch elsewhere", "create", "record", "trunks", "call",
    }  # fmt: skip
    named = {name: messages[name].split("`")[1] for name in messages}
    assert named["create"] == "room_create" and named["record"] == "room_record"
    assert (named["admin"], named["trunks"], named["call"]) == ("room_admin", "sip_admin", "sip_call")
    await asked.reload("job_grants: []")
    assert len(refused(await asked.run())) == 10
    assert len(asked.host.events("registered")) == 1
    (applied,) = asked.host.events("change applied")
    assert applied.fields["kind"] == "live"
