"""Hosts of one agent, with processes that are forked or, the second time, spawned."""

from functools import partial
from pathlib import Path

import pytest

from agenthost.testing.livekit_server import FakeLiveKitServer
from tests.support.agent_host import Start, start_agent
from tests.support.protocols import RunHost


@pytest.fixture
def start(run_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path) -> Start:
    """`await start(code, yaml="", **options)`: a registered host, `start_method: auto`."""
    return partial(start_agent, run_host, fake_server, tmp_path)


@pytest.fixture
def start_any(start: Start, start_method: str) -> Start:
    """The same with `start_method: auto` and, in a second run of the test, `spawn`."""
    return partial(start, start_method=start_method)
