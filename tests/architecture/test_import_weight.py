"""What an import pulls in: user code, the command line and the host each pay only for what they need."""

import json
import subprocess
import sys

import pytest

HEAVY = ("aiohttp", "jsonschema", "livekit", "numpy", "prometheus_client", "psutil", "rich", "watchdog", "yaml")


def _loaded_by(statement: str) -> set[str]:
    """Top-level packages, and livekit's parts, that a fresh interpreter has after `statement`."""
    code = f"{statement}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    return set(json.loads(ended.stdout))


@pytest.mark.parametrize("statement", ["import agenthost", "from agenthost import JobContext, get_job_context"])
def test_user_code_imports_agenthost_for_nothing(statement: str) -> None:
    """`import agenthost` in an agent's module brings neither libraries nor the host."""
    loaded = _loaded_by(statement)
    assert loaded.isdisjoint(HEAVY)
    assert loaded.isdisjoint({"agenthost.host", "agenthost.cli", "agenthost.config"})


def test_command_line_imports_no_library_before_a_command_needs_it() -> None:
    """`agenthost --help` and the start of every command stay quick; the base is started before asyncio is in."""
    assert _loaded_by("import agenthost.cli.main").isdisjoint({*HEAVY, "asyncio", "importlib.metadata", "ssl"})


def test_host_never_imports_the_client_of_rooms() -> None:
    """livekit.rtc brings a native library with threads; only job processes and their templates load it."""
    loaded = _loaded_by("import agenthost.host.host")
    assert "livekit.rtc" not in loaded
    assert loaded.isdisjoint({"jsonschema", "numpy", "prometheus_client", "rich"})


def test_job_processes_carry_no_library_of_the_host() -> None:
    """What a template imports is in the memory of each of its jobs."""
    loaded = _loaded_by("import agenthost.child.base_main, agenthost.child.job_main, agenthost.context")
    assert loaded.isdisjoint({"jsonschema", "prometheus_client", "psutil", "rich", "watchdog", "yaml"})
