"""`make chaos`: campaigns with seeds of their own, for minutes; each one that finds something says its seed.

python -m tests.chaos.run --minutes 5 [--seed N] [--seconds 30]
"""

import argparse
import asyncio
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from agenthost.livekit_server.build import ensure_installed
from agenthost.testing.livekit_server import FakeLiveKitServer
from tests.chaos.campaign import Campaign, Report
from tests.chaos.lost_calls import LostCalls
from tests.chaos.stages import fake_stage, real_stage
from tests.support.polling import poll

PEACE_SECONDS = 15.0

log = logging.getLogger("chaos")


async def campaign(seed: int, seconds: float, binary: Path | None) -> Report:
    """One campaign in a folder of its own, which goes with it; in front of the real server, or (None) the fake one."""
    with tempfile.TemporaryDirectory(prefix="agenthost-chaos-") as folder:
        place = Path(folder)
        async with real_stage(binary, place) if binary is not None else fake_stage() as stage:
            return await Campaign(stage, place, seed=seed).run(seconds)


async def lost_calls(seed: int) -> tuple[str, ...]:
    """Hosts with recovery that come and go for five seconds; what is wrong at the end."""
    async with FakeLiveKitServer(budget=0.03) as server:
        calls = LostCalls(server, seed=seed)
        try:
            await calls.run(rooms=80, seconds=5.0)
            lost = await poll(lambda: "" if calls.unserved() else "all served", timeout=PEACE_SECONDS) == ""
        finally:
            for host in calls.hosts:
                await host.__aexit__(None, None, None)
    return (*sorted(calls.wrong), *(["calls were lost"] if lost else []))


def table(reports: Sequence[Report]) -> str:
    """A line for each fault: how often it was injected, and after how many of them nothing was found wrong."""
    injected: Counter[str] = sum((report.injected for report in reports), Counter())
    blamed: Counter[str] = sum((report.blamed for report in reports), Counter())
    lines = ["| fault | injected | survived |", "|---|---:|---:|"]
    lines += [f"| {name} | {count} | {count - blamed[name]} |" for name, count in sorted(injected.items())]
    accepted, failed = (sum(getattr(report, name) for report in reports) for name in ("accepted", "failed"))
    restarts = sum(report.restarts for report in reports)
    lines.append(f"{accepted} jobs accepted, {failed} ended by a fault and reported, {restarts} of them restarted")
    return "\n".join(lines)


def main() -> int:
    """0 when every invariant held."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("agenthost").setLevel(logging.CRITICAL)  # what hosts in this process say of their losses
    parser = argparse.ArgumentParser(description="Harm a host at random, and check that nothing is lost.")
    parser.add_argument("--minutes", type=float, default=5.0, help="how long to go on (default: 5)")
    parser.add_argument("--seconds", type=float, default=30.0, help="harm in each campaign (default: 30)")
    parser.add_argument("--seed", type=int, help="run this one campaign again")
    arguments = parser.parse_args()
    binary = asyncio.run(ensure_installed(lambda step, detail: None))
    deadline = time.monotonic() + 60 * arguments.minutes
    reports: list[Report] = []
    failed = False
    while not reports or (arguments.seed is None and time.monotonic() < deadline):
        seed = arguments.seed if arguments.seed is not None else random.randrange(10**6)
        found = {
            "fake server": asyncio.run(campaign(seed, arguments.seconds, None)),
            "real server": asyncio.run(campaign(seed, arguments.seconds, binary)),
        }
        reports += found.values()
        wrong = {name: report.wrong for name, report in found.items()} | {"lost calls": asyncio.run(lost_calls(seed))}
        failed = failed or any(wrong.values())
        for name, what in wrong.items():
            log.info("seed %d, %s: %s", seed, name, "; ".join(what) or "all is well")
    log.info("%s", table(reports))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
