"""Options of livekit-agents: taken over, passed over by name, or refused."""

import inspect
from typing import Any

import pytest
from livekit.agents import AgentServer, JobContext, JobExecutorType, WorkerOptions
from livekit.agents.worker import ServerEnvOption, WorkerPermissions
from livekit.protocol.models import TrackSource
from msgspec.structs import replace

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


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's own, as a process has them that may."""
    monkeypatch.setenv("LIVEKIT_URL", "ws://127.0.0.1:7880")
    monkeypatch.setenv("LIVEKIT_API_KEY", "key")
    monkeypatch.setenv("LIVEKIT_API_SECRET", "secret")


@pytest.mark.usefixtures("given")
@pytest.mark.parametrize(
    ("option", "value", "instead"),
    [
        ("ws_url", "ws://elsewhere:7880", "livekit.url"),
        ("ws_url", "ws://127.0.0.1:7881", "livekit.url"),
        ("api_key", "another", "livekit.api_key"),
        ("api_secret", "hunter2-hunter2", "LIVEKIT_API_SECRET"),
    ],
)
def test_another_server_or_key_is_refused_by_name(option: str, value: object, instead: str) -> None:
    """It would serve other callers. With what to write in its place, and without its value: it may be a secret."""
    for said in (of_server, of_options):
        with pytest.raises(EntrypointError) as refused:
            said(**{option: value})
        assert f"`{option}`" in str(refused.value) and instead in str(refused.value)
        assert "hunter2" not in str(refused.value)


@pytest.mark.usefixtures("given")
def test_all_that_is_refused_is_told_at_once() -> None:
    """One round is enough to correct them."""
    with pytest.raises(EntrypointError, match=r"`api_key`.*; `api_secret`"):
        of_server(api_secret="another", api_key="another")


@pytest.mark.usefixtures("given")
@pytest.mark.parametrize("url", ["ws://127.0.0.1:7880", "ws://127.0.0.1:7880/", "http://127.0.0.1:7880"])
def test_an_equal_value_is_no_conflict(url: str) -> None:
    """However the server is written."""
    options = {"ws_url": url, "api_key": "key", "api_secret": "secret"}
    assert of_server(**options) == of_options(**options) == of_server()


def test_a_pair_that_the_code_may_not_see_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here knows whether it is the host's, which is the one that counts."""
    for name in ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"):
        monkeypatch.delenv(name, raising=False)
    for said in (of_server, of_options):
        passed_over = said(api_key="devkey", api_secret="hunter2").passed_over
        assert passed_over == {"api_key": "the host has its own", "api_secret": "the host has its own"}


@pytest.mark.parametrize(
    ("option", "value", "instead"),
    [
        ("http_proxy", "http://proxy:3128", "livekit.proxy"),
        ("host", "127.0.0.1", "http.listen"),
        ("port", 9000, "http.listen"),
        ("max_retry", 3, "for ever"),
        ("job_executor_type", JobExecutorType.THREAD, "process of its own"),
        ("multiprocessing_context", "spawn", "start_method"),
        ("prometheus_port", 9090, "/metrics"),
        ("prometheus_multiproc_dir", "/tmp/metrics", "/metrics"),
        ("log_level", "DEBUG", "log_level"),
    ],
)
def test_what_has_no_effect_is_passed_over_by_name(option: str, value: object, instead: str) -> None:
    """With what holds in its place."""
    for said in (of_server, of_options):
        passed_over = said(**{option: value}).passed_over
        assert passed_over.keys() == {option} and instead in passed_over[option]


def test_an_option_that_is_newer_than_this_agenthost_is_passed_over() -> None:
    """As those that it knows."""
    code = recognise(WorkerOptions(entrypoint_fnc=entrypoint), "my_agent:options")
    assert code is not None
    newer = code_values(replace(code, options={**code.options, "jobs_at_once": 3}))
    assert newer.without_effect == "`jobs_at_once` (agenthost knows no such option)"


@pytest.mark.skipif("preload_modules" not in inspect.signature(AgentServer).parameters, reason="not in this version")
def test_modules_to_preload_are_no_reason_to_refuse() -> None:
    """The template imports them."""
    assert of_server(preload_modules=["json"]) == of_server()
