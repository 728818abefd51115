"""The private parts of livekit-agents that we stand on are looked at before the first job."""

import pytest
from livekit.agents.ipc import proto

from agenthost.errors import EntrypointError
from agenthost.voice.door import find
from agenthost.voice.self_check import Part, check_parts


def test_the_installed_version_has_them_all() -> None:
    """This is what fails first when livekit-agents changes."""
    check_parts()


def test_everything_that_is_missing_is_named() -> None:
    """Modules, attributes, arguments; with the versions that are known to fit."""
    parts = (
        Part(owner="livekit.agents.no_such_module"),
        Part(owner="livekit.agents.job:NoSuchClass"),
        Part(owner="livekit.agents.job:JobContext", assigned=("_tempdir", "_no_such_attribute")),
        Part(owner="livekit.agents.voice.agent_session:AgentSession", looked_up=("NoSuchTransport", "JobContext")),
        Part(owner="livekit.agents.voice.remote_session:SessionTransport", abstract=("start", "close")),
        Part(owner="livekit.agents.job:RunningJobInfo", names=("no_such_name",), arguments=("job", "no_such_argument")),
    )
    with pytest.raises(EntrypointError) as refused:
        check_parts(parts)
    for text in (
        "no_such_module",
        "job:NoSuchClass",
        "no_such_name",
        "no_such_argument=",
        "JobContext()._no_such_attribute",
        "AgentSession() going by livekit.agents.voice.agent_session.NoSuchTransport",
        "SessionTransport without send_message()",
        "tried with",
    ):
        assert text in str(refused.value)


def test_a_version_without_a_part_is_refused_at_the_door(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything that stands on it is used, and with one sentence."""
    monkeypatch.delattr(proto, "StartJobRequest")
    with pytest.raises(EntrypointError, match=r"does not fit: it lacks livekit\.agents\.ipc\.proto\.StartJobRequest\."):
        find(object(), "my_agent:server")
