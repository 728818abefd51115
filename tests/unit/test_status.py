"""What follows from a host's state: health, readiness, free slots."""

import pytest

from agenthost.jobs import JobType
from agenthost.status import AgentStatus, HostState, HostStatus, LoadPart


def agent(*, registered: bool = False, total: int | None = None, used: int = 0) -> AgentStatus:
    return AgentStatus(
        id="a", agent_name="", type=JobType.ROOM, registered=registered, slots_total=total, slots_used=used, jobs=2
    )


def host(state: HostState, *agents: AgentStatus) -> HostStatus:
    return HostStatus(state=state, version="1", agents=agents)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (host(HostState.RUNNING, agent(registered=True)), ""),
        (host(HostState.RUNNING, agent(), agent(registered=True)), ""),
        (host(HostState.RUNNING, agent()), "not registered with the LiveKit server"),
        (host(HostState.RUNNING), "not registered with the LiveKit server"),
        (host(HostState.STARTING, agent(registered=True)), "starting"),
        (host(HostState.DRAINING, agent(registered=True)), "draining"),
        (host(HostState.STOPPED), "stopped"),
    ],
)
def test_ready_means_running_and_registered(status: HostStatus, reason: str) -> None:
    """New jobs can come as soon as one agent is registered, and no longer once the host drains."""
    assert (status.reason, status.ready) == (reason, reason == "")


@pytest.mark.parametrize("state", HostState)
def test_healthy_until_stopped(state: HostState) -> None:
    """A host that drains, or whose LiveKit server is away, must not be restarted by its orchestrator."""
    assert host(state).healthy is (state is not HostState.STOPPED)


@pytest.mark.parametrize(("total", "used", "free"), [(None, 5, None), (3, 1, 2), (3, 3, 0), (1, 3, 0)])
def test_free_slots_are_never_negative(total: int | None, used: int, free: int | None) -> None:
    """A limit that was lowered under running jobs leaves 0 free; no limit is no number."""
    assert agent(total=total, used=used).slots_free == free


def test_host_sums_its_agents() -> None:
    """Jobs are counted once, at their agent."""
    assert host(HostState.RUNNING, agent(), agent()).jobs == 4


@pytest.mark.parametrize(("used", "limit", "fraction"), [(35.0, 70.0, 0.5), (2.0, 1.0, 2.0), (0.0, 0.0, 1.0)])
def test_load_is_a_fraction_of_its_limit(used: float, limit: float, fraction: float) -> None:
    """A limit of 0 is always reached."""
    assert LoadPart(name="cpu", used=used, limit=limit).fraction == fraction
