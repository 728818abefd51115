"""`python -m tests.bench.reload_latency`: from saving a file to new jobs that run it, and where the time goes.

Against the fake server on loopback, with a light module that is imported by the entrypoint's; one line for each form of
`imports`, p50 / p95 in milliseconds. `--edits N` says how many saves are measured (default 40).
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from agenthost.testing.livekit_server import FakeLiveKitServer
from tests.support.host import HostProcess, write_agent

CODE = """
import time
from pathlib import Path

import voice


async def entrypoint(ctx):
    Path(f"{ctx.room.name}.ran").write_text(f"{voice.VERSION} {time.monotonic()}")
"""
YAML = """
agent_name: light
entrypoint: my_agent:entrypoint
imports: {imports}
num_idle_processes: 1
load: {{ max_jobs: 10 }}
http: {{ listen: none }}
reload: {{ watch: [config, code] }}
"""
PHASES = ("notice", "reload", "job", "total")
FORMS = ("own", "shared")


async def main(imports: str, edits: int) -> str:
    """The line of figures for this form of `imports`."""
    with tempfile.TemporaryDirectory(prefix="reload-") as name:
        folder = Path(name)
        (folder / "voice.py").write_text("VERSION = 0\n")
        async with FakeLiveKitServer() as server:
            file = write_agent(folder, CODE, YAML.format(imports=imports))
            host = HostProcess("start", file, "--log-level=DEBUG", cwd=folder, env=server.environment)
            await host.start()
            try:
                await host.wait_event("host started", timeout=30)
                taken = [await measure(host, server, folder, version) for version in range(1, edits + 1)]
            finally:
                await host.close()
    return f"save → new jobs run it, imports: {imports}, {edits} saves: " + " · ".join(
        f"{phase} {_figures([seconds[index] for seconds in taken])}" for index, phase in enumerate(PHASES)
    )


async def measure(host: HostProcess, server: FakeLiveKitServer, folder: Path, version: int) -> tuple[float, ...]:
    """Seconds until the edit was noticed (debounce included), the reload was over, and a job that was offered then was
    in its entrypoint; and their sum.
    """
    # In one step: on a busy machine half a save would be an edit of its own.
    (folder / "voice.part").write_text(f"VERSION = {version}\n")
    saved = time.monotonic()
    (folder / "voice.part").rename(folder / "voice.py")
    noticed = await host.wait_event("reload wanted", count=version)
    reloaded = await host.wait_event("reloaded", count=version)
    room = f"room-{version}"
    await server.offer(room, agent_name="light")
    await host.wait_event("job ended", room=room)
    ran, began = (folder / f"{room}.ran").read_text().split()
    assert ran == str(version), f"the job ran {ran} instead of {version}"
    moments = (saved, noticed.at, reloaded.at, float(began))
    return *(after - before for before, after in pairwise(moments)), moments[-1] - moments[0]


def _figures(seconds: Sequence[float]) -> str:
    cuts = statistics.quantiles(seconds, n=20)
    return f"{cuts[9] * 1e3:.0f} / {cuts[18] * 1e3:.0f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="reload_latency", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--edits", type=int, default=40, help="how many saves (default 40)")
    count = parser.parse_args().edits
    for form in FORMS:
        sys.stdout.write(asyncio.run(main(form, count)) + " ms (p50 / p95)\n")
