"""The server API on a minted token, against a server that writes down what it is sent."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from livekit import api
from livekit.api.version import __version__

from agenthost.context.api import SERVICES, ApiAccess, delete_room
from agenthost.errors import EntrypointError


class Recorder:
    """Answers every request with `status`, and keeps its path and Authorization header."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.status = 200
        self.code = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.seen.append((request.path, request.headers["Authorization"]))
        if self.status == 200:
            return web.Response(body=b"", content_type="application/protobuf")
        return web.json_response({"code": self.code, "msg": "no"}, status=self.status)


@pytest.fixture
async def recorder() -> AsyncIterator[tuple[Recorder, str]]:
    recorder = Recorder()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", recorder.handle)
    async with TestServer(application, host="127.0.0.1") as server:
        yield recorder, f"ws://127.0.0.1:{server.port}"


async def test_renewed_token_is_used_by_services_held_from_before(recorder: tuple[Recorder, str]) -> None:
    """User code may keep `ctx.api.room` for hours; no request may go out on a token that has expired."""
    record, url = recorder
    access = ApiAccess(url=url, token="first")
    services = [access.client.room, access.client.agent_dispatch, access.client.egress]
    await services[0].list_rooms(api.ListRoomsRequest())
    access.renew("second")
    await services[0].list_rooms(api.ListRoomsRequest())
    await services[1].list_dispatch("lobby")
    await services[2].list_egress(api.ListEgressRequest())
    await access.client.sip.list_inbound_trunk(api.ListSIPInboundTrunkRequest())
    await access.client.ingress.list_ingress(api.ListIngressRequest())
    await access.close()
    assert [token for _, token in record.seen] == ["Bearer first"] + ["Bearer second"] * 5


async def test_token_renewed_before_the_first_use_is_the_one_used(recorder: tuple[Recorder, str]) -> None:
    """The client is made when it is first asked for."""
    record, url = recorder
    access = ApiAccess(url=url, token="first")
    access.renew("second")
    await access.client.room.list_rooms(api.ListRoomsRequest())
    await access.close()
    assert record.seen == [("/twirp/livekit.RoomService/ListRooms", "Bearer second")]


async def test_livekit_api_without_the_token_to_renew_is_refused_at_the_first_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By version and service, every time it is asked for: its requests would be refused an hour into the call."""

    class Renamed(api.LiveKitAPI):
        """As a later version may be: two of its services keep the token under another name."""

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            for service in (self.room, self.sip):
                service._bearer = vars(service).pop("_token")

    monkeypatch.setattr(api, "LiveKitAPI", Renamed)
    access = ApiAccess(url="ws://127.0.0.1", token="token")
    for _ in range(2):
        with pytest.raises(EntrypointError, match=rf"livekit-api {re.escape(__version__)} .* LiveKitAPI's room, sip\."):
            _ = access.client
    await asyncio.gather(*access.requests)
    await access.close()


async def test_every_service_of_a_client_is_renewed() -> None:
    """One that a later livekit-api adds would go on with the first token."""
    access = ApiAccess(url="ws://127.0.0.1", token="token")
    on_a_token = {name.removeprefix("_") for name, part in vars(access.client).items() if hasattr(part, "_token")}
    assert on_a_token == set(SERVICES)
    await access.close()


async def test_raw_pair_signs_its_own_requests(recorder: tuple[Recorder, str]) -> None:
    """Under `livekit.secret_in_jobs`, whatever tokens the host sends."""
    record, url = recorder
    secret = "a secret of at least thirty-two bytes"
    access = ApiAccess(url=url, token="first", key="key", secret=secret)
    assert access.client is access.client
    access.renew("second")
    await access.client.room.list_rooms(api.ListRoomsRequest())
    await access.close()
    [(_, token)] = record.seen
    assert api.TokenVerifier("key", secret).verify(token.removeprefix("Bearer ")).video.room_list


async def test_room_that_is_gone_is_deleted(recorder: tuple[Recorder, str]) -> None:
    """Everyone may hang up at the same time."""
    record, url = recorder
    record.status, record.code = 404, "not_found"
    access = ApiAccess(url=url, token="token")
    assert await delete_room(access, "lobby") == api.DeleteRoomResponse()
    await access.close()


async def test_other_errors_of_deleting_a_room_reach_the_caller(recorder: tuple[Recorder, str]) -> None:
    """A room that could not be deleted is still there."""
    record, url = recorder
    record.status, record.code = 403, "permission_denied"
    access = ApiAccess(url=url, token="token")
    with pytest.raises(api.TwirpError):
        await delete_room(access, "lobby")
    await access.close()


async def test_requests_under_way_are_known_until_they_are_done() -> None:
    """So that the end of the job can wait for them."""
    access = ApiAccess(url="", token="")
    gate = asyncio.Event()
    task = access.start(gate.wait(), "request")
    assert access.requests == {task}
    gate.set()
    assert await task is True
    assert access.requests == set()
    await access.close()
