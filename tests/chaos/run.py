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
from pathlib import Path

from agenthost.testing.livekit_server import FakeLiveKitServer
from tests.chaos.campaign import Campaign, Report
from tests.chaos.lost_calls import LostCalls
from tests.support.polling import poll

PEACE_SECONDS = 15.0

log = logging.getLogger("chaos")


async def campaign(seed: int, seconds: float) -> Report:
    """One campaign in a folder of its own, which goes with it."""
    with tempfile.TemporaryDirectory(prefix="agenthost-chaos-") as folder:
        async with FakeLiveKitServer() as server:
            return await Campaign(server, Path(folder), seed=seed).run(seconds)


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


def main() -> int:
    """0 when every invariant held."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("agenthost").setLevel(logging.CRITICAL)  # what hosts in this process say of their losses
    parser = argparse.ArgumentParser(description="Harm a host at random, and check that nothing is lost.")
    parser.add_argument("--minutes", type=float, default=5.0, help="how long to go on (default: 5)")
    parser.add_argument("--seconds", type=float, default=30.0, help="harm in each campaign (default: 30)")
    parser.add_argument("--seed", type=int, help="run this one campaign again")
    arguments = parser.parse_args()
    deadline = time.monotonic() + 60 * arguments.minutes
    faults: Counter[str] = Counter()
    failed = 0
    while True:
        seed = arguments.seed if arguments.seed is not None else random.randrange(10**6)
        report = asyncio.run(campaign(seed, arguments.seconds))
        faults.update(report.faults)
        wrong = (*report.wrong, *asyncio.run(lost_calls(seed)))
        failed += bool(wrong)
        log.info(
            "seed %d: %d faults, %d jobs, %d restarts, %s",
            seed,
            len(report.faults),
            report.jobs,
            report.restarts,
            "; ".join(wrong) or "all is well",
        )
        if arguments.seed is not None or time.monotonic() > deadline:
            break
    for fault, count in faults.most_common():
        log.info("%5d × %s", count, fault)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
