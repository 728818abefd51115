"""A thousand calls, each of a person in a room, while the two hosts that answer them are harmed: how many are lost?

`python -m tests.chaos.crowd [--calls 1000] [--rate 3] [--seed N] [--subject agenthost] [--subject livekit-agents]`

A call is served when an agent has talked to the person for six seconds and said goodbye. It is lost when that has not
happened within four minutes. Harm: a random process below a host is killed every three seconds, a host is frozen for
four seconds every half a minute, and killed every 45 seconds, to be started again three seconds later. When the last
call has come, the harm ends. Both sides get the same calls, the same harm, and the same real livekit-server.
"""

import argparse
import asyncio
import contextlib
import logging
import random
import resource
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from livekit import api, rtc

from agenthost.livekit_server.build import ensure_installed
from tests.bench.peer import ensure_peer
from tests.bench.subjects import PEER_VERSION
from tests.chaos.unit import Unit
from tests.support.real_server import RealLiveKitServer

AGENTS = Path(__file__).parent / "agents"
ROOT = Path(__file__).parents[2]
AGENT = "chaos-talk"
PATIENCE_SECONDS = 240.0
START_SECONDS = 10.0
DESCRIPTORS_A_CALL = 40
"""livekit.rtc keeps some twenty of a room that it has left."""

SUBJECTS = ("agenthost", "livekit-agents")

log = logging.getLogger("chaos")


@dataclass(kw_only=True)
class Call:
    """`agents` came one after the other; `together` is how many there were at most; `waited` until the goodbye."""

    room: str
    agents: int = 0
    together: int = 0
    waited: float | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    subject: str
    seed: int
    calls: Sequence[Call]
    harm: Counter[str] = field(default_factory=Counter)

    @property
    def served(self) -> list[Call]:
        return [call for call in self.calls if call.waited is not None]

    @property
    def lost(self) -> int:
        return len(self.calls) - len(self.served)

    @property
    def crowded(self) -> int:
        """Calls with two agents at a time."""
        return sum(call.together > 1 for call in self.calls)

    def waits(self) -> list[float]:
        """Of the calls that needed more than one agent, seconds from the call to the goodbye, sorted."""
        return sorted(call.waited for call in self.served if call.agents > 1 and call.waited is not None)


class Crowd:
    """`await Crowd(server, units, seed=1).run(calls=1000, rate=3)`."""

    def __init__(self, server: RealLiveKitServer, units: Sequence[Unit], *, seed: int) -> None:
        self._server = server
        self._units = units
        self._random = random.Random(seed)
        self._harm: Counter[str] = Counter()

    async def run(self, *, calls: int, rate: float) -> tuple[list[Call], Counter[str]]:
        """All calls, and what was done meanwhile."""
        async with api.LiveKitAPI(self._server.url, self._server.api_key, self._server.api_secret) as client:
            harm = asyncio.create_task(self._do_harm())
            tasks = []
            for number in range(calls):
                tasks.append(asyncio.create_task(self._call(client, Call(room=f"call-{number}"))))
                await asyncio.sleep(self._random.uniform(0.5, 1.5) / rate)
            harm.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await harm
            for unit in self._units:
                if not unit.running:
                    unit.start()
            return list(await asyncio.gather(*tasks)), self._harm

    # ── calls ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _call(self, client: api.LiveKitAPI, call: Call) -> Call:
        loop = asyncio.get_running_loop()
        room, served = rtc.Room(), asyncio.Event()

        def heard(packet: rtc.DataPacket) -> None:
            if packet.topic == "bye":
                served.set()

        def came(_: rtc.RemoteParticipant) -> None:
            kinds = [one.kind for one in room.remote_participants.values()]
            call.agents += 1
            call.together = max(call.together, kinds.count(rtc.ParticipantKind.PARTICIPANT_KIND_AGENT))

        room.on("data_received", heard)
        room.on("participant_connected", came)
        began = loop.time()
        token = api.AccessToken(self._server.api_key, self._server.api_secret).with_identity("caller")
        token.with_grants(api.VideoGrants(room_join=True, room=call.room))
        await room.connect(self._server.url, token.to_jwt())
        try:
            request = api.CreateAgentDispatchRequest(agent_name=AGENT, room=call.room)
            await client.agent_dispatch.create_dispatch(request)
            async with asyncio.timeout(PATIENCE_SECONDS):
                await served.wait()
            call.waited = loop.time() - began
        except TimeoutError:
            pass  # lost: `waited` says so
        finally:
            await room.disconnect()
        return call

    # ── harm ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _do_harm(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._kill_processes())
            tasks.create_task(self._freeze_hosts())
            tasks.create_task(self._kill_hosts())

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds * self._random.uniform(0.5, 1.5))

    async def _kill_processes(self) -> None:
        while True:
            await self._pause(3.0)
            victims = self._random.choice(self._units).below()
            if victims:
                with contextlib.suppress(psutil.NoSuchProcess):
                    self._random.choice(victims).kill()
                self._harm["a process below a host killed"] += 1

    async def _freeze_hosts(self) -> None:
        while True:
            await self._pause(30.0)
            await self._random.choice(self._units).freeze(4.0)
            self._harm["a host frozen for 4 s"] += 1

    async def _kill_hosts(self) -> None:
        while True:
            await self._pause(45.0)
            unit = self._random.choice(self._units)
            unit.kill()
            self._harm["a host killed"] += 1
            await asyncio.sleep(3.0)
            unit.start()


async def measure(subject: str, *, binary: Path, calls: int, rate: float, seed: int) -> Outcome:
    """Two hosts of `subject` in front of a server of their own."""
    if subject == "agenthost":
        argv: tuple[str, ...] = (sys.executable, "-m", "agenthost", "start", "agenthost.yaml")
    else:
        argv = (str(ensure_peer(ROOT / ".bench" / "peer")), "-m", "livekit.agents", "start", "peer.py")
    with tempfile.TemporaryDirectory(prefix="agenthost-crowd-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        server = stack.enter_context(RealLiveKitServer(binary, folder))
        units = [Unit(argv, AGENTS, server.environment, folder / f"host-{number}.log") for number in range(2)]
        for unit in units:
            stack.callback(unit.end)
            unit.start()
        await asyncio.sleep(START_SECONDS)  # the two sides do not say alike that they are registered
        done, harm = await Crowd(server, units, seed=seed).run(calls=calls, rate=rate)
        for call in done:
            if call.waited is None or call.together > 1:
                _tell_story(call, sorted(folder.glob("host-*.log")))
        return Outcome(subject=subject, seed=seed, calls=done, harm=harm)


def _tell_story(call: Call, logs: Sequence[Path]) -> None:
    """All that the hosts said about the room of a call that did not go well."""
    log.info("── %s", call)
    for path in logs:
        for line in path.read_text(errors="replace").splitlines():
            if f'"{call.room}"' in line:
                log.info("%s %s", path.stem, line)


def table(outcomes: Sequence[Outcome]) -> str:
    """One column a subject."""
    rows = [
        ("calls", [str(len(one.calls)) for one in outcomes]),
        ("**lost**", [f"**{one.lost}**" for one in outcomes]),
        ("served", [str(len(one.served)) for one in outcomes]),
        ("served by a second agent or a later one", [str(len(one.waits())) for one in outcomes]),
        ("… from the call to the goodbye, median", [_seconds(one.waits(), statistics.median) for one in outcomes]),
        ("… at most", [_seconds(one.waits(), max) for one in outcomes]),
        ("two agents at a time", [str(one.crowded) for one in outcomes]),
    ]
    rows += [(what, [str(one.harm[what]) for one in outcomes]) for what in sorted(outcomes[0].harm)]
    names = [f"{one.subject} {PEER_VERSION}" if one.subject == "livekit-agents" else one.subject for one in outcomes]
    lines = [f"| seed {outcomes[0].seed} | {' | '.join(names)} |", "|---|" + "---:|" * len(outcomes)]
    return "\n".join([*lines, *(f"| {what} | {' | '.join(values)} |" for what, values in rows)])


def _seconds(values: list[float], of: "type[max] | object") -> str:
    return f"{of(values):.0f} s" if values else "–"  # type: ignore[operator]


def _open_files(calls: int) -> str | None:
    """Make room for all the people, of whom each costs descriptors until the end; what is wrong if there is none."""
    wanted = calls * DESCRIPTORS_A_CALL
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, hard)))
    except (ValueError, OSError):
        return (
            f"{calls} calls need {wanted} open files, and {hard} are allowed: raise `ulimit -Hn`, or take fewer calls"
        )
    return None


def main() -> int:
    """0 when agenthost lost no call and never had two agents in one."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for noisy in ("livekit", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    parser = argparse.ArgumentParser(prog="crowd", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=3.0, help="calls a second (default: 3)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--subject", action="append", choices=SUBJECTS, help="only this side (may be repeated)")
    arguments = parser.parse_args()
    if (refusal := _open_files(arguments.calls)) is not None:
        parser.error(refusal)
    binary = asyncio.run(ensure_installed(lambda step, detail: None))
    outcomes = [
        asyncio.run(measure(one, binary=binary, calls=arguments.calls, rate=arguments.rate, seed=arguments.seed))
        for one in arguments.subject or SUBJECTS
    ]
    log.info("%s", table(outcomes))
    ours = [one for one in outcomes if one.subject == "agenthost"]
    return 1 if any(one.lost or one.crowded for one in ours) else 0


if __name__ == "__main__":
    sys.exit(main())
