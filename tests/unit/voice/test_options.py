"""Options of livekit-agents: taken over, or refused by name."""

import inspect
from typing import Any

import pytest
from livekit.agents import AgentServer, JobContext, JobExecutorType, WorkerOptions
from livekit.agents.worker import ServerEnvOption, WorkerPermissions
from livekit.protocol.models import TrackSource

from agenthost.code_values import CodeValues
from agenthost.errors import EntrypointError
from agenthost.voice.code import recognise
from agenthost.voice.options import FRAMEWORK, code_values


async def entrypoint(ctx: JobContext) -> None: ...


def of_server(**options: Any) -> CodeValues:
    server = AgentServer(**options)
    server.rtc_session(entrypoint)
    code = recognise(server, "my_agent:server")
    assert code is not None
    return code_values(code)


def of_options(**options: Any) -> CodeValues:
    code = recognise(WorkerOptions(entrypoint_fnc=entrypoint, **options), "my_agent:options")
    assert code is not None
    return code_values(code)


def test_what_is_left_at_their_defaults_is_not_said() -> None:
    """So that ours hold; a room agent is what both are."""
    assert of_server() == of_options() == CodeValues(framework=FRAMEWORK, type="room")


def test_limits_and_numbers_are_taken_over_in_our_units() -> None:
    """Their memory is in MiB, whatever the name says."""
    options = {
        "num_idle_processes": 2,
        "drain_timeout": 60,
        "initialize_process_timeout": 20.0,
        "shutdown_process_timeout": 5.0,
        "job_memory_warn_mb": 600,
        "job_memory_limit_mb": 700,
    }
    for said in (of_server(**options), of_options(**options)):
        assert (said.num_idle_processes, said.drain_timeout) == (2, 60)
        memory = {"memory_warn": 600 * 2**20, "memory": 700 * 2**20}
        assert said.limits == {"init": 20.0, "shutdown": 5.0, **memory}


def test_permissions_are_taken_over_by_key() -> None:
    """Only those that differ from the defaults of both."""
    permissions = WorkerPermissions(hidden=True, can_publish_sources=[TrackSource.MICROPHONE])
    assert of_server(permissions=permissions).permissions == {"hidden": True, "can_publish_sources": ["microphone"]}


def test_a_load_threshold_is_of_the_load_function_or_of_the_cpu() -> None:
    """Their own load function measures the cpu."""
    assert of_server(load_threshold=0.5).cpu_limit == 0.5
    with_function = of_server(load_threshold=0.5, load_fnc=lambda: 0.1)
    assert (with_function.load, with_function.load_limit, with_function.cpu_limit) == (True, 0.5, None)
    assert of_server(load_fnc=lambda: 0.1).load_limit == 0.7


def test_an_option_with_two_values_has_that_of_the_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    """Development is what LIVEKIT_DEV_MODE says, as in livekit-agents."""
    both = ServerEnvOption(dev_default=1, prod_default=5)
    assert of_server(num_idle_processes=both).num_idle_processes == 5
    monkeypatch.setenv("LIVEKIT_DEV_MODE", "1")
    assert of_server(num_idle_processes=both).num_idle_processes == 1


def test_agent_name_has_their_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Override, argument, environment."""
    assert of_options(agent_name="written").agent_name == "written"
    monkeypatch.setenv("LIVEKIT_AGENT_NAME", "environment")
    assert (of_options().agent_name, of_options(agent_name="written").agent_name) == ("environment", "written")
    monkeypatch.setenv("LIVEKIT_AGENT_NAME_OVERRIDE", "forced")
    assert of_options(agent_name="written").agent_name == "forced"


def test_credentials_of_the_environment_are_not_the_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their server copies them into its own fields."""
    monkeypatch.setenv("LIVEKIT_URL", "ws://127.0.0.1:7880")
    monkeypatch.setenv("LIVEKIT_API_KEY", "key")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:3128")
    assert of_server() == CodeValues(framework=FRAMEWORK, type="room")


@pytest.mark.parametrize(
    ("option", "value", "instead"),
    [
        ("ws_url", "ws://elsewhere:7880", "livekit.url"),
        ("api_secret", "hunter2-hunter2", "LIVEKIT_API_SECRET"),
        ("port", 9000, "http.listen"),
        ("max_retry", 3, "for ever"),
        ("job_executor_type", JobExecutorType.THREAD, "process of its own"),
        ("multiprocessing_context", "spawn", "start_method"),
        ("prometheus_port", 9090, "/metrics"),
        ("log_level", "DEBUG", "log_level"),
    ],
)
def test_what_we_do_not_take_is_refused_by_name(option: str, value: object, instead: str) -> None:
    """With what to write in its place, and without its value: it may be a secret."""
    for said in (of_server, of_options):
        with pytest.raises(EntrypointError) as refused:
            said(**{option: value})
        assert f"`{option}`" in str(refused.value) and instead in str(refused.value)
        assert "hunter2" not in str(refused.value)


def test_all_refused_options_are_told_at_once() -> None:
    """One round is enough to correct them."""
    with pytest.raises(EntrypointError, match=r"`max_retry`.*; `port`"):
        of_server(max_retry=3, port=9000)


@pytest.mark.skipif("preload_modules" not in inspect.signature(AgentServer).parameters, reason="not in this version")
def test_modules_to_preload_are_no_reason_to_refuse() -> None:
    """The template imports them."""
    assert of_server(preload_modules=["json"]) == of_server()
