"""Defaults: what holds where nothing is written, and how the top of the file reaches the agents."""

import math

import pytest

from agenthost.config.model import LoadLimits, SessionHost, StartMethod
from tests.unit.config.conftest import Examine, Load

FLAT = "entrypoint: code_of_agent:entrypoint\n"
TWO = """
num_idle_processes: 3
env: { SHARED: a, BOTH: top }
settings: { deep: { a: 1 }, kept: 2 }
permissions: { can_publish: false }
limits: { memory: 1GiB }
requests: { otherwise: reject }
load: { max_jobs: 7 }
log_level: WARNING
agents:
  one: code_of_agent:entrypoint
  two:
    entrypoint: code_of_agent:entrypoint
    env: { BOTH: own }
    settings: { deep: { b: 2 } }
    permissions: { hidden: true }
    limits: { init: 30s, memory: null }
    requests: { handler: code_of_agent:on_request }
    num_idle_processes: null
    load: { cpu: 50% }
    log_level: DEBUG
"""


def test_the_flat_form_is_one_agent_for_every_room(load: Load) -> None:
    """Its id is `agent`, it has automatic dispatch and is unique in its room."""
    (agent,) = load(FLAT).agents
    assert (agent.id, agent.agent_name, agent.unique_per_room) == ("agent", "", True)


def test_the_flat_form_is_called_by_its_agent_name(load: Load) -> None:
    """A named agent is dispatched explicitly, as often as somebody wants."""
    (agent,) = load(f"{FLAT}agent_name: support\n").agents
    assert (agent.id, agent.agent_name, agent.unique_per_room) == ("support", "support", False)


def test_the_key_under_agents_is_the_agent_name_unless_one_is_given(load: Load) -> None:
    """Also the empty one, which is automatic dispatch."""
    text = "agents:\n  a: code_of_agent:entrypoint\n  b: { entrypoint: 'code_of_agent:entrypoint', agent_name: '' }\n"
    assert [(agent.id, agent.agent_name) for agent in load(text).agents] == [("a", "a"), ("b", "")]


def test_four_keys_merge_with_the_top_and_the_others_replace_it(load: Load) -> None:
    """`env`, `settings`, `permissions` and `limits` key by key, one level deep."""
    one, two = load(TWO).agents
    assert dict(one.env) == {"SHARED": "a", "BOTH": "top"}
    assert dict(two.env) == {"SHARED": "a", "BOTH": "own"}
    assert two.settings["kept"] == 2
    assert dict(two.settings["deep"]) == {"b": 2}
    assert (two.permissions.can_publish, two.permissions.hidden) == (False, True)
    assert two.limits.init == 30
    assert two.requests.otherwise.value == "accept"


def test_null_goes_back_to_the_built_in_default(load: Load) -> None:
    """Past the top of the file, which otherwise would win."""
    one, two = load(TWO).agents
    assert (one.num_idle_processes, two.num_idle_processes) == (3, 1)
    assert (one.limits.memory, two.limits.memory) == (2**30, None)


def test_load_and_log_level_of_the_host_are_no_defaults_of_agents(load: Load) -> None:
    """Inside an agent they mean that agent, at the top the host."""
    config = load(TWO)
    assert config.load == LoadLimits(max_jobs=7)
    assert [agent.load for agent in config.agents] == [LoadLimits(), LoadLimits(cpu=0.5)]
    assert config.log.level == "WARNING"
    assert [agent.log_level for agent in config.agents] == [None, "DEBUG"]


def test_only_the_written_limits_of_load_apply(load: Load) -> None:
    """Who writes `max_jobs` has decided against the cpu brake."""
    assert load(f"{FLAT}load: {{ max_jobs: 3 }}\n").load == LoadLimits(max_jobs=3)
    assert load(FLAT).load.cpu == 0.7
    assert load(FLAT, command="dev").load == LoadLimits()


def test_custom_load_of_a_flat_file_belongs_to_its_agent(load: Load) -> None:
    """Its function is code of the agent; the other limits stay with the host."""
    config = load(f"{FLAT}load: {{ max_jobs: 3, custom: {{ callable: 'code_of_agent:load', limit: 5 }} }}\n")
    assert config.load == LoadLimits(max_jobs=3)
    custom = config.agents[0].load.custom
    assert custom is not None
    assert (custom.callable, custom.limit) == ("code_of_agent:load", 5.0)


def test_dev_has_defaults_of_its_own(load: Load) -> None:
    """Somebody sits in front of it."""
    config = load(FLAT, command="dev")
    assert (config.log.level, config.http.host, config.http.port) == ("DEBUG", "127.0.0.1", 0)
    assert config.agents[0].num_idle_processes == 0
    assert config.reload.watch == ("config", "code")
    start = load(FLAT)
    assert (start.log.level, start.http.host, start.http.port) == ("INFO", "0.0.0.0", 8081)
    assert start.agents[0].num_idle_processes == 1
    assert start.reload.watch == ()
    assert [one.agents[0].session_host for one in (config, start)] == [SessionHost.OWN, SessionHost.OFF]


def test_dev_keeps_one_spawned_process(load: Load) -> None:
    """A fresh interpreter is too slow to start when the call is there."""
    agent = load(f"{FLAT}start_method: spawn\n", command="dev").agents[0]
    assert (agent.start_method, agent.num_idle_processes) == (StartMethod.SPAWN, 1)


def test_credentials_come_from_the_environment(load: Load) -> None:
    """Unless the file refers to other variables."""
    assert load(FLAT).livekit.api_secret == "secret"
    text = FLAT + "livekit: { url: 'wss://example.com', api_key: '${KEY}', api_secret: '${SECRET}' }\n"
    livekit = load(text, environ={"KEY": "k", "SECRET": "s"}).livekit
    assert (livekit.url, livekit.api_key, livekit.api_secret) == ("wss://example.com", "k", "s")


@pytest.mark.parametrize(("written", "seconds"), [("forever", math.inf), ("0s", 0), ("1h30m", 5400), ("null", 1800)])
def test_drain_timeout_is_explicit_about_forever(load: Load, written: str, seconds: float) -> None:
    """Zero is zero."""
    config = load(f"{FLAT}drain_timeout: {written}\n")
    assert config.drain_timeout == config.agents[0].drain_timeout == seconds


def test_short_forms_mean_their_long_ones(load: Load) -> None:
    """One text instead of a section, one instead of a list."""
    short = (
        FLAT + "prewarm: code_of_agent:prewarm\npreload: json\nrestart: on-failure\nrecovery: true\nlog_format: json\n"
    )
    long = FLAT + (
        "prewarm: { callable: 'code_of_agent:prewarm' }\npreload: [json]\nrestart: { policy: on-failure }\n"
        "recovery: { sweep: true }\nlog_format: { format: json }\n"
    )
    one, two = load(short), load(long)
    assert (one.agents[0].prewarm, one.preload, one.log) == (two.agents[0].prewarm, two.preload, two.log)
    assert (one.agents[0].restart, one.agents[0].recovery) == (two.agents[0].restart, two.agents[0].recovery)
    assert one.agents[0].restart.on_failure
    assert one.agents[0].recovery.enabled


def test_all_sources_is_the_default_again(load: Load) -> None:
    """`all` takes back what the top of the file narrowed."""
    text = (
        "permissions: { can_publish_sources: microphone }\nagents:\n  a: code_of_agent:entrypoint\n"
        "  b: { entrypoint: 'code_of_agent:entrypoint', permissions: { can_publish_sources: all } }\n"
    )
    assert [agent.permissions.can_publish_sources for agent in load(text).agents] == [("microphone",), None]


def test_an_agent_that_only_routes_needs_no_code(examine: Examine) -> None:
    """As long as `otherwise` does not accept."""
    text = """
agents:
  front:
    agent_name: ""
    requests: { rules: [{ name: a, when: { room.name: "a*" }, agent: back }], otherwise: %s }
  back: code_of_agent:entrypoint
"""
    assert examine(text % "reject").config is not None
    assert [finding.code for finding in examine(text % "accept").findings] == ["AH201"]
