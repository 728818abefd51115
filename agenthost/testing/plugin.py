"""Fixtures for the tests of people who write agents; they need pytest and pytest-asyncio.

In `conftest.py`:

    pytest_plugins = ["agenthost.testing.plugin"]

and then:

    async def test_gold_callers_reach_support(run_agent):
        agent = await run_agent("agenthost.yaml")
        job = await agent.offer("vip-7", metadata={"tier": "gold"})
        assert job.accepted
"""

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

import pytest
import pytest_asyncio

from agenthost.jobs import EMPTY
from agenthost.testing import agent_run
from agenthost.testing.agent_run import AgentOnServer, RunningAgent

MARKER = "livekit_server: joins rooms of a real LiveKit server, which is built first where there is none"


class RunAgent(Protocol):
    """`await run_agent(file, *arguments, env={})`: the file at work beside a fake server, every agent registered."""

    async def __call__(self, file: str | Path, *arguments: str, env: Mapping[str, str] = EMPTY) -> RunningAgent: ...


class RunAgentOnServer(Protocol):
    """The same beside a real server of its own."""

    async def __call__(self, file: str | Path, *arguments: str, env: Mapping[str, str] = EMPTY) -> AgentOnServer: ...


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known under --strict-markers."""
    config.addinivalue_line("markers", MARKER)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that uses a real server, so that `-m "not livekit_server"` leaves it out."""
    for item in items:
        if "run_agent_on_server" in getattr(item, "fixturenames", ()):
            item.add_marker("livekit_server")


def _show(agent: RunningAgent | AgentOnServer) -> None:
    """pytest shows it below a test that failed, and there alone."""
    sys.stdout.write(f"{agent.host.output()}\n")


@pytest_asyncio.fixture
async def run_agent() -> AsyncIterator[RunAgent]:
    """Run agenthost files without a LiveKit server; they end with the test, which fails if a process survives."""
    async with AsyncExitStack() as stack:

        async def run(file: str | Path, *arguments: str, env: Mapping[str, str] = EMPTY) -> RunningAgent:
            agent = await stack.enter_async_context(agent_run.run_agent(file, *arguments, env=env))
            stack.callback(_show, agent)
            return agent

        yield run


@pytest_asyncio.fixture
async def run_agent_on_server() -> AsyncIterator[RunAgentOnServer]:
    """Run agenthost files against a real LiveKit server on loopback, where tests can join rooms."""
    async with AsyncExitStack() as stack:

        async def run(file: str | Path, *arguments: str, env: Mapping[str, str] = EMPTY) -> AgentOnServer:
            agent = await stack.enter_async_context(agent_run.run_agent_on_server(file, *arguments, env=env))
            stack.callback(_show, agent)
            return agent

        yield run
