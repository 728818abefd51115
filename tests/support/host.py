"""Writing an agent for a test; the process that runs it is the same that users test their agents with."""

import textwrap
from pathlib import Path

from agenthost.testing.host_process import HostProcess, LogLine

__all__ = ["HostProcess", "LogLine", "write_agent"]


def write_agent(folder: Path, code: str, yaml: str, *, module: str = "my_agent") -> Path:
    """Write a module and an agenthost file beside it; both texts may be indented as a whole. The file's path."""
    (folder / f"{module}.py").write_text(textwrap.dedent(code))
    file = folder / "agenthost.yaml"
    file.write_text(textwrap.dedent(yaml))
    return file
