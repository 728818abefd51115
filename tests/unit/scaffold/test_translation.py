"""From the options of livekit-agents to the keys of a file."""

import math
from typing import Any

import pytest

from agenthost.scaffold.expressions import Call, Function, Literal, Named, Unknown, Value, Variable
from agenthost.scaffold.script import Script, Setting
from agenthost.scaffold.translation import Translation, translate

FUNCTION = Function(reference="app:f")


def translated(**options: Value) -> Translation:
    settings = tuple(Setting(name=name, value=value, line=7) for name, value in options.items())
    return translate(Script(name="app.py", settings=settings))


def test_a_script_that_is_run_as_a_whole_gives_its_functions_itself() -> None:
    """What is no function is still taken over, for the file shows it."""
    functions = dict.fromkeys(("entrypoint_fnc", "prewarm_fnc", "request_fnc", "session_end_fnc", "load_fnc"), FUNCTION)
    values = functions | {"agent_name": Literal(value="a"), "load_threshold": Literal(value=0.5)}
    settings = tuple(Setting(name=name, value=value, line=7) for name, value in values.items())
    translation = translate(Script(name="sub/app.py", settings=settings, whole=True))
    assert translation == Translation(keys={"entrypoint": "sub/app.py", "agent_name": "a"}, notes=())


def by_mode(development: object, production: object) -> Call:
    keywords = {"dev_default": Literal(value=development), "prod_default": Literal(value=production)}
    return Call(name="livekit.agents.worker.ServerEnvOption", positional=(), keywords=keywords)


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("entrypoint_fnc", FUNCTION, {"entrypoint": "app:f"}),
        ("prewarm_fnc", FUNCTION, {"prewarm": "app:f"}),
        ("session_end_fnc", FUNCTION, {"session_end": "app:f"}),
        ("request_fnc", FUNCTION, {"requests": {"handler": "app:f"}}),
        ("agent_name", Variable(name="A", default="b", required=False), {"agent_name": "${A:-b}"}),
        ("agent_name", Variable(name="A", default=None, required=False), {"agent_name": "${A:-}"}),
        ("agent_name", Variable(name="A", default=None, required=True), {"agent_name": "${A}"}),
        ("type", Named(name="livekit.agents.WorkerType.PUBLISHER"), {"type": "publisher"}),
        ("initialize_process_timeout", Literal(value=90.0), {"limits": {"init": "1m30s"}}),
        ("shutdown_process_timeout", Literal(value=5), {"limits": {"shutdown": "5s"}}),
        ("session_end_timeout", Literal(value=300), {"limits": {"session_end": "5m"}}),
        ("job_memory_warn_mb", Literal(value=700), {"limits": {"memory_warn": "700MB"}}),
        ("job_memory_limit_mb", Literal(value=0), {}),
        ("drain_timeout", Literal(value=math.inf), {"drain_timeout": "forever"}),
        ("log_level", Literal(value="warn"), {"log_level": "WARNING"}),
        ("preload_modules", Literal(value=["numpy"]), {"preload": ["numpy"]}),
        ("ws_url", Literal(value="wss://x"), {"livekit": {"url": "wss://x"}}),
        ("api_secret", Variable(name="S", default=None, required=True), {"livekit": {"api_secret": "${S}"}}),
        ("num_idle_processes", Literal(value=3), {"num_idle_processes": 3}),
        (
            "num_idle_processes",
            by_mode(1, 3),
            {"num_idle_processes": 3, "profiles": {"dev": {"num_idle_processes": 1}}},
        ),
        ("load_threshold", Literal(value=0.8), {"load": {"cpu": "80%"}}),
        ("load_threshold", by_mode(math.inf, 0.75), {"load": {"cpu": "75%"}}),
        ("load_fnc", FUNCTION, {"load": {"custom": {"callable": "app:f", "limit": 0.7}}}),
        ("port", Literal(value=9000), {"http": {"listen": "0.0.0.0:9000"}}),
        ("host", Literal(value="127.0.0.1"), {"http": {"listen": "127.0.0.1:8081"}}),
        ("multiprocessing_context", Literal(value="spawn"), {"start_method": "spawn"}),
        ("multiprocessing_context", Literal(value="forkserver"), {}),
        ("prewarm_fnc", Literal(value=None), {}),
    ],
)
def test_option_becomes_its_key(option: str, value: Value, expected: dict[str, Any]) -> None:
    """With our units and spellings; what is our default anyway is left out."""
    assert translated(**{option: value}) == Translation(keys=expected, notes=())


def test_load_function_takes_the_threshold_along() -> None:
    """Both together are one limit."""
    found = translated(load_threshold=Literal(value=0.5), load_fnc=FUNCTION)
    assert found.keys == {"load": {"custom": {"callable": "app:f", "limit": 0.5}}}


def test_permissions_are_taken_one_by_one() -> None:
    """An empty list of sources is how the options say "all"."""
    keywords = {"hidden": Literal(value=True), "can_publish_sources": Literal(value=[])}
    call = Call(name="livekit.agents.WorkerPermissions", positional=(), keywords=keywords)
    assert translated(permissions=call) == Translation(keys={"permissions": {"hidden": True}}, notes=())


@pytest.mark.parametrize(
    ("option", "value", "note"),
    [
        ("entrypoint_fnc", Unknown(text="inner"), "name a function at the top of a module instead of `inner`"),
        ("drain_timeout", Unknown(text="f(1)"), "write the value of `f(1)` yourself"),
        (
            "drain_timeout",
            Variable(name="A", default=None, required=True),
            "write the value of the variable A yourself",
        ),
        (
            "api_secret",
            Literal(value="hush"),
            "it belongs in the environment, as LIVEKIT_API_SECRET;",
        ),
        ("max_retry", Literal(value=3), "the host reconnects for ever"),
        ("load_threshold", Literal(value=math.inf), "an infinite threshold is no limit"),
        ("permissions", Unknown(text="p"), "write the value of `p` yourself"),
        ("something_new", Literal(value="hush"), "no key corresponds to it; it is set to a str"),
    ],
)
def test_what_cannot_be_taken_over_is_a_note_with_its_place(option: str, value: Value, note: str) -> None:
    """Nothing is dropped silently, and no text of the script, which may be a secret, is repeated."""
    found = translated(**{option: value})
    (text,) = found.notes
    assert found.keys == {}
    assert text.startswith(f"{option} (app.py:7): {note}")
    assert "hush" not in text
