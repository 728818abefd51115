"""Writing an agent for a test; the process that runs it is the same that users test their agents with."""

import asyncio
import signal
import textwrap
from pathlib import Path

from agenthost.signals import REPEAT_SECONDS
from agenthost.testing.host_process import HostProcess, LogLine

__all__ = ["HostProcess", "LogLine", "signal_again", "write_agent"]


async def signal_again(host: HostProcess, number: signal.Signals, *, group: bool = False) -> None:
    """Send a signal that is no echo of one which the host has heard by now."""
    await asyncio.sleep(REPEAT_SECONDS)
    host.signal(number, group=group)


def write_agent(folder: Path, code: str, yaml: str, *, module: str = "my_agent") -> Path:
    """Write a module and an agenthost file beside it; both texts may be indented as a whole. The file's path."""
    (folder / f"{module}.py").write_text(textwrap.dedent(code))
    file = folder / "agenthost.yaml"
    file.write_text(textwrap.dedent(yaml))
    return file
