"""How what an agent's code says meets what its file says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agenthost.code_values import CodeValues
from agenthost.config.loading import Options, examine_text, loaded
from agenthost.config.model import AgentConfig
from agenthost.jobs import JobType
from agenthost.taking_over import taken_over

Agent = Callable[[str], AgentConfig]


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    """`agent(yaml)` is the only agent of a file with these further keys."""
    (tmp_path / "my_agent.py").write_text("server = object()\n")

    def build(yaml: str) -> AgentConfig:
        text = f"entrypoint: my_agent:server\nlivekit: {{ url: ws://127.0.0.1:7880 }}\n{yaml}\n"
        options = Options(environ={"LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "secret"}, command="start")
        return loaded(examine_text(text, tmp_path / "agenthost.yaml", options)).config.agents[0]

    return build


def values(**said: Any) -> CodeValues:
    return CodeValues(framework="livekit-agents", **said)


def test_code_that_says_nothing_changes_nothing(agent: Agent) -> None:
    """The defaults are ours."""
    assert taken_over(agent(""), values()) == agent("")


def test_code_wins_over_defaults(agent: Agent) -> None:
    """Everything that a livekit-agents user may have written."""
    said = values(
        agent_name="support",
        type="publisher",
        deployment="blue",
        permissions={"hidden": True, "can_publish_sources": ["microphone"]},
        num_idle_processes=3,
        drain_timeout=60.0,
        limits={"init": 20.0, "memory": 2.0},
    )
    result = taken_over(agent(""), said)
    assert (result.agent_name, result.type, result.deployment) == ("support", JobType.PUBLISHER, "blue")
    assert (result.permissions.hidden, result.permissions.can_publish_sources) == (True, ("microphone",))
    assert (result.num_idle_processes, result.drain_timeout) == (3, 60.0)
    assert (result.limits.init, result.limits.memory) == (20.0, 2.0)


@pytest.mark.parametrize(
    ("yaml", "said", "path", "wanted"),
    [
        ("agent_name: ours", {"agent_name": "theirs"}, "agent_name", "ours"),
        ("type: room", {"type": "publisher"}, "type", JobType.ROOM),
        ("num_idle_processes: 1", {"num_idle_processes": 4}, "num_idle_processes", 1),
        ("drain_timeout: 30m", {"drain_timeout": 1.0}, "drain_timeout", 1800.0),
        ("permissions: { hidden: false }", {"permissions": {"hidden": True}}, "permissions.hidden", False),
        ("limits: { init: 10s }", {"limits": {"init": 99.0}}, "limits.init", 10.0),
        ("load: { max_jobs: 2 }", {"cpu_limit": 0.5}, "load.cpu", None),
        ("unique_per_room: true", {"agent_name": "theirs"}, "unique_per_room", True),
    ],
)
def test_the_file_wins_over_the_code(agent: Agent, yaml: str, said: dict[str, Any], path: str, wanted: object) -> None:
    """Also where it says what the default would be."""
    found: Any = taken_over(agent(yaml), values(**said))
    for name in path.split("."):
        found = getattr(found, name)
    assert found == wanted


def test_one_written_key_of_a_section_leaves_the_others_to_the_code(agent: Agent) -> None:
    """`limits` and `permissions` meet key by key."""
    result = taken_over(agent("limits: { init: 5s }"), values(limits={"init": 9.0, "shutdown": 9.0}))
    assert (result.limits.init, result.limits.shutdown) == (5.0, 9.0)


def test_functions_of_the_code_stand_where_the_file_names_none(agent: Agent) -> None:
    """The host then knows that there is something to prove, and somebody to ask."""
    result = taken_over(agent(""), values(prewarm=True, handler=True, load=True, load_limit=0.7))
    assert result.prewarm is not None and not result.prewarm.shared
    assert result.requests.handler == "the request function of my_agent:server"
    assert result.load.custom is not None and result.load.custom.limit == 0.7


def test_an_agent_named_by_its_code_may_be_in_a_room_twice(agent: Agent) -> None:
    """`unique_per_room` is on by default for automatic dispatch only, wherever the name comes from."""
    assert agent("").unique_per_room
    assert not taken_over(agent(""), values(agent_name="support")).unique_per_room


def test_values_survive_the_process_border() -> None:
    """They travel as JSON."""
    said = values(agent_name="support", permissions={"hidden": True}, limits={"init": 5.0})
    assert CodeValues(**said.encode()) == said
