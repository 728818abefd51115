"""What the banner says about when an agent is called."""

import shlex

import pytest
from msgspec.structs import replace

from agenthost.jobs import JobType
from agenthost.logs.banner import Banner, BannerAgent


def agent(name: str = "", type_: JobType = JobType.ROOM, *, registers: bool = True) -> BannerAgent:
    return BannerAgent(id="support", agent_name=name, type=type_, registers=registers)


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (agent(), "every room (automatic dispatch)"),
        (agent(type_=JobType.PUBLISHER), "every participant that publishes (automatic dispatch)"),
        (agent(type_=JobType.PARTICIPANT), "every participant (automatic dispatch)"),
        (agent("support"), "explicit dispatch only"),
        (agent("support", registers=False), "only through another agent's rules"),
    ],
)
def test_dispatch_is_told_in_words(shown: BannerAgent, words: str) -> None:
    """Naming an agent turns automatic dispatch off: the one thing people look for when no agent joins."""
    assert shown.dispatch == words


def test_named_agent_has_a_command_that_can_be_pasted() -> None:
    """A name is one argument to a shell, whatever is in it."""
    command = agent("it's $HOME").dispatch_command
    assert shlex.split(command) == ["agenthost", "dispatch", "it's $HOME", "--room", "my-room"]


def test_command_names_a_file_that_is_not_the_usual_one() -> None:
    """Else it would go to another host, or to the server of the usual file."""
    command = replace(agent("support"), arguments=("my agent.py",)).dispatch_command
    assert shlex.split(command) == ["agenthost", "dispatch", "support", "my agent.py", "--room", "my-room"]


def test_agent_of_every_room_has_a_command_for_the_first_one() -> None:
    """Whoever has just started a host has no room yet."""
    assert shlex.split(agent().dispatch_command) == ["agenthost", "dispatch", "", "--room", "my-room"]


@pytest.mark.parametrize("shown", [agent(type_=JobType.PUBLISHER), agent("support", registers=False)])
def test_agent_that_no_dispatch_can_reach_has_no_command(shown: BannerAgent) -> None:
    """A command that cannot work is not offered."""
    assert shown.dispatch_command == ""


def test_facts_say_the_same_as_events() -> None:
    """A log for machines has the command, too."""
    banner = Banner(
        version="1.2.3",
        command="start",
        file="agenthost.yaml",
        agents=(agent("support"),),
        livekit_url="ws://127.0.0.1:7880",
        local_server=False,
        http=None,
        idle_processes=2,
    )
    (started, host), (configured, fields) = banner.facts()
    assert (started, host["file"], host["idle_processes"]) == ("host started", "agenthost.yaml", 2)
    assert configured == "agent configured"
    assert fields["dispatch"] == "explicit dispatch only"
    assert fields["command"] == "agenthost dispatch support --room my-room"
