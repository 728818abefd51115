"""Registrations are replaced on the real server while dispatches keep coming: every job runs, and runs once.

RELOAD_EDITS says how many times, RELOAD_SEED repeats a run.
"""

import asyncio
import os
import random
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import indent

import pytest
from livekit import api

from tests.support.host import HostProcess, write_agent
from tests.support.http_proxy import Proxy
from tests.support.polling import poll
from tests.support.protocols import RunHost
from tests.support.real_server import RealLiveKitServer

EDITS = int(os.environ.get("RELOAD_EDITS", "50"))
SEED = int(os.environ.get("RELOAD_SEED", "7"))
DISPATCH_SECONDS = 0.25  # the server itself makes at most five dispatches a second while names come and go

pytestmark = [pytest.mark.e2e, pytest.mark.slow(25), pytest.mark.timeout(60 + 2 * EDITS)]

CODE = """
import asyncio
from pathlib import Path


async def entrypoint(ctx):
    with Path("ran").open("a") as ran:
        ran.write(f"{ctx.room.name}\\n")
    if ctx.job.metadata == "long":
        await asyncio.sleep(2)
    ctx.shutdown("told")
"""
HOST = """
livekit: {{ url: "{url}"{proxy} }}
http: {{ listen: none }}
load: {{ max_jobs: 500 }}
reload: {{ watch: [config], debounce: 20ms }}
"""
AGENT = """
agent_name: {name}
num_idle_processes: 1
type: {type}
deployment: "{deployment}"
entrypoint: my_agent:entrypoint
permissions: {{ can_publish: {can_publish} }}
requests:
  accept: {{ identity: "agent-{{job.id}}" }}
  rules:
    - {{ name: all, when: {{ room.name: "{pattern}" }}, action: accept }}
  otherwise: reject
"""
IDS = ("clerk", "porter", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """What the file says; `name` and `deployment` are what a dispatch has to name.

    `id` is the agent's key under `agents`; "": the flat form, in which the name is the id.
    """

    url: str
    name: str
    proxy: str = ""
    id: str = IDS[0]
    type: str = "room"
    deployment: str = ""
    can_publish: bool = True
    pattern: str = "*"

    @property
    def yaml(self) -> str:
        host = HOST.format(url=self.url, proxy=f', proxy: "{self.proxy}"' if self.proxy else "")
        agent = AGENT.format(
            name=self.name,
            type=self.type,
            deployment=self.deployment,
            can_publish=str(self.can_publish).lower(),
            pattern=self.pattern,
        )
        return host + (f"agents:\n  {self.id}:{indent(agent, '    ')}" if self.id else agent)


def _other_spelling(url: str) -> str:
    scheme, rest = url.split("://")
    return f"{'http' if scheme == 'ws' else 'ws'}://{rest}"


def _other_id(now: Registered) -> Registered:
    return replace(now, id=IDS[(IDS.index(now.id) + 1) % len(IDS)])


EDIT: dict[str, Callable[[Registered], Registered]] = {
    "url": lambda now: replace(now, url=_other_spelling(now.url)),
    "deployment": lambda now: replace(now, deployment="" if now.deployment else "blue"),
    "agent_name": lambda now: replace(now, name=now.name[:-1] if now.name.endswith("2") else f"{now.name}2"),
    "type": lambda now: replace(now, type="room" if now.type == "participant" else "participant"),
    "id": _other_id,
    "permissions": lambda now: replace(now, can_publish=not now.can_publish),
    "rules": lambda now: replace(now, pattern="r-*" if now.pattern == "*" else "*"),
}
NEW_REGISTRATION = ("url", "proxy", "deployment", "agent_name", "type", "id")


class Dispatching:
    """Creates dispatches for `now`, one after another, until it is cancelled; `rooms` are theirs.

    None while the agent is one for participants: in rooms without people it has no job.
    """

    def __init__(self, server: api.LiveKitAPI, now: Registered) -> None:
        self.now = now
        self.rooms: list[str] = []
        self._server = server

    async def run(self) -> None:
        while True:
            await asyncio.sleep(DISPATCH_SECONDS)
            if self.now.type != "room":
                continue
            room = f"r-{uuid.uuid4().hex[:10]}"
            self.rooms.append(room)
            request = api.CreateAgentDispatchRequest(
                agent_name=self.now.name,
                deployment=self.now.deployment,
                room=room,
                metadata="long" if len(self.rooms) % 10 == 0 else "",
            )
            await self._server.agent_dispatch.create_dispatch(request)


async def test_no_dispatch_is_lost_while_registrations_change(
    run_host: RunHost, livekit_server: RealLiveKitServer, livekit_api: api.LiveKitAPI, tmp_path: Path
) -> None:
    """Old and new socket overlap: whichever of them the server asks, the job runs."""
    now = Registered(url=livekit_server.url, name=f"clerk-{uuid.uuid4().hex[:6]}-")
    file = write_agent(tmp_path, CODE, now.yaml)
    keys = {name: value for name, value in livekit_server.environment.items() if name != "LIVEKIT_URL"}
    host = await run_host(file, env=keys)
    await host.wait_event("host started", timeout=30)
    dispatching = Dispatching(livekit_api, now)
    task = asyncio.create_task(dispatching.run())
    async with Proxy().open() as proxy:
        done = await _edit_all(host, file, dispatching, proxy.url)
        task.cancel()
        await asyncio.wait([task])
        ran = tmp_path / "ran"
        await poll(lambda: set(dispatching.rooms) <= set(ran.read_text().split()), timeout=15)
        counts = Counter(ran.read_text().split())
        lost = [room for room in dispatching.rooms if not counts[room]]
        doubled = [room for room, count in counts.items() if count > 1]
        assert (lost, doubled) == ([], []), f"of {len(dispatching.rooms)}, {dict(done)}\n{host.output()}"
        changed = sum(done[what] for what in NEW_REGISTRATION)
        assert bool(proxy.targets) == bool(done["proxy"])
        await poll(lambda: len(host.events("registration closed")) == changed, timeout=20, what="old sockets stay open")
        assert host.events("job failed") == []
        await host.close()


async def _edit_all(host: HostProcess, file: Path, dispatching: Dispatching, proxy: str) -> Counter[str]:
    """How often each kind of edit was made; what is dispatched follows as soon as the host says so."""
    chance = random.Random(SEED)
    done: Counter[str] = Counter()
    edits = EDIT | {"proxy": lambda now: replace(now, proxy="" if now.proxy else proxy)}
    kinds = [*edits] * (EDITS // len(edits) + 1)  # each of them as often as the others
    chance.shuffle(kinds)
    for number, what in enumerate(kinds[:EDITS], 1):
        done[what] += 1
        now = edits[what](dispatching.now)
        file.write_text(now.yaml)
        await host.wait_event("reloaded", count=number)
        dispatching.now = now
        await asyncio.sleep(chance.uniform(0, 0.6))
    return done
