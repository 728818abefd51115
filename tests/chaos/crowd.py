"""A thousand calls, each of a person in a room, while the two hosts that answer them are harmed: how many are lost?

`python -m tests.chaos.crowd [--calls 1000] [--rate 1.5] [--seed N] [--subject agenthost] [--subject livekit-agents]`

A call is served when an agent has talked to the person for six seconds and said goodbye. It is lost when the person
heard nobody for two minutes. Harm: a random job process is killed every three seconds, a host is frozen for four
seconds every half a minute, and killed every 45 seconds, to be started again three seconds later. When the last call
has come, the harm ends. Both sides get the same calls, the same kinds of harm, and a real server of their own.
"""

import argparse
import asyncio
import contextlib
import logging
import random
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from agenthost.livekit_server.build import ensure_installed
from tests.bench.peer import ensure_peer
from tests.chaos.caller_processes import CallerProcesses
from tests.chaos.calls import Call, clock
from tests.chaos.crowd_harm import CrowdHarm
from tests.chaos.crowd_table import Outcome, table
from tests.chaos.unit import Unit
from tests.support.real_server import RealLiveKitServer

AGENTS = Path(__file__).parent / "agents"
ROOT = Path(__file__).parents[2]
HOSTS = 2
PATIENCE_SECONDS = 120.0
START_SECONDS = 10.0
RATE = 1.5
"""Calls a second. Each costs half a second of a core, persons and server included: 2 cores are not what is tested."""

SUBJECTS = ("agenthost", "livekit-agents")

log = logging.getLogger("chaos")


async def measure(subject: str, *, binary: Path, calls: int, rate: float, seed: int) -> Outcome:
    """Two hosts of `subject` in front of a server of their own."""
    with tempfile.TemporaryDirectory(prefix="agenthost-crowd-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        server = stack.enter_context(RealLiveKitServer(binary, folder))
        units = [
            Unit(argv(subject), AGENTS, server.environment, place=folder, name=f"host-{number}")
            for number in range(HOSTS)
        ]
        for unit in units:
            stack.callback(unit.end)
            unit.start()
        await asyncio.sleep(START_SECONDS)  # the two sides do not say alike that they are registered
        harm = CrowdHarm(units, random.Random(seed))
        done = await call_all(server, harm, calls=calls, rate=rate, chance=random.Random(seed))
        for call in done:
            if not call.is_served or call.is_crowded:
                tell_story(call, harm, units)
        return Outcome(subject=subject, seed=seed, calls=done, harm=harm.done)


def argv(subject: str) -> tuple[str, ...]:
    if subject == "agenthost":
        return (sys.executable, "-m", "agenthost", "start", "agenthost.yaml")
    return (str(ensure_peer(ROOT / ".bench" / "peer")), "-m", "livekit.agents", "start", "peer.py")


async def call_all(
    server: RealLiveKitServer, harm: CrowdHarm, *, calls: int, rate: float, chance: random.Random
) -> list[Call]:
    """All calls, `rate` a second, with harm from the first to the last; returns when every person has left."""
    async with CallerProcesses(server.environment, patience=PATIENCE_SECONDS) as callers:
        harming = asyncio.create_task(harm.run())
        for number in range(calls):
            await callers.place(f"call-{number}")
            await asyncio.sleep(chance.uniform(0.5, 1.5) / rate)
        harming.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await harming
        return await callers.wait()


def tell_story(call: Call, harm: CrowdHarm, units: Sequence[Unit]) -> None:
    """All that the person saw, that was done to the hosts meanwhile, and that they said about the room."""
    log.info("── %s: %s, silence of %.1f s, voices %s", call.room, call.end, call.silence, call.voices)
    until = call.notes[-1][0] if call.notes else call.began
    story = [(clock(moment), f"person  {what}") for moment, what in call.notes]
    story += [(clock(moment), f"harm    {what}") for moment, what in harm.notes if call.began <= moment <= until]
    for moment, what in sorted(story):
        log.info("%s %s", moment, what)
    for unit in units:
        for line in unit.log.read_text(errors="replace").splitlines():
            if f'"{call.room}"' in line:
                log.info("%s %s", unit.name, line)


def main() -> int:
    """0 when agenthost lost no call and never had two agents in one, and every person could call."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    parser = argparse.ArgumentParser(prog="crowd", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=RATE, help=f"calls a second (default: {RATE})")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--subject", action="append", choices=SUBJECTS, help="only this side (may be repeated)")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # nothing of ours stays behind
    binary = asyncio.run(ensure_installed(lambda step, detail: None))
    outcomes = [
        asyncio.run(measure(one, binary=binary, calls=arguments.calls, rate=arguments.rate, seed=arguments.seed))
        for one in arguments.subject or SUBJECTS
    ]
    log.info("%s", table(outcomes))
    ours = [one for one in outcomes if one.subject == "agenthost"]
    return 1 if any(one.lost or one.crowded for one in ours) or any(one.broken for one in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
