"""What a user of livekit-agents can get wrong: one clear error before any job, without a traceback of ours."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agenthost.ipc.messages import InitFailed
from tests.support.job_process import Fork, JobTemplate
from tests.support.voice_jobs import voice_fork, voice_template

pytest.importorskip("livekit.agents")


@pytest.fixture(scope="module")
def template() -> Iterator[JobTemplate]:
    with voice_template() as made:
        yield made


@pytest.fixture
def fork(template: JobTemplate, tmp_path: Path) -> Iterator[Fork]:
    with voice_fork(template, tmp_path) as start:
        yield start


SERVER = """
server = AgentServer({options})

@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None: ...
"""


@pytest.mark.parametrize(
    ("code", "entrypoint", "wanted"),
    [
        ("server = AgentServer()", "agent:server", ":server` has no session: decorate the entrypoint"),
        (
            SERVER.format(options="") + "\n@server.rtc_session()\nasync def second(ctx: JobContext) -> None: ...",
            "agent:server",
            "registering only one rtc_session; make a second server, and a second agent under `agents:`",
        ),
        (
            "import os\nos.environ['LIVEKIT_API_KEY'] = 'own'\n" + SERVER.format(options="api_key='x'"),
            "agent:server",
            "wants another LiveKit server, or another key, than the host: `api_key` (set LIVEKIT_API_KEY, or write",
        ),
        (
            SERVER.format(options="") + "cli.run_app(server)",
            "agent:server",
            "calls `cli.run_app(…)` when it is imported",
        ),
        ("def entrypoint(ctx: JobContext): ...", "agent:entrypoint", "is a plain function"),
        (
            "def entrypoint(ctx: JobContext): ...\nopts = WorkerOptions(entrypoint_fnc=entrypoint)",
            "agent:opts",
            "`entrypoint_fnc=entrypoint` is a plain function",
        ),
        ("server = AgentServer", "agent:server", "is the class AgentServer"),
        (SERVER.format(options="setup_fnc='load'"), "agent:server", "`setup_fnc` is of type str: give it a function"),
        (
            SERVER.format(options="setup_fnc=lambda: 1"),
            "agent:server",
            "takes (): give it a function that takes the JobP",
        ),
        (SERVER.format(options="load_fnc=lambda a, b: 1"), "agent:server", "that takes the AgentServer, or nothing"),
        (
            "async def entrypoint(ctx: JobContext): ...\ndef ended(): ...\n"
            "server.rtc_session(entrypoint, on_session_end=ended)",
            "agent:server",
            "`on_session_end=ended` takes (): give it a function that takes the JobContext",
        ),
        (
            "async def entrypoint(ctx: JobContext): ...\ndef asked(request): request.accept()\n"
            "server.rtc_session(entrypoint, on_request=asked)",
            "agent:server",
            "`on_request=asked` is a plain function, so nothing can be awaited: give it an `async def`",
        ),
        (
            "from livekit.agents import inference\nllm = inference.LLM('openai/gpt-4o-mini')",
            "agent:server",
            "write `livekit.secret_in_jobs: true`",
        ),
        ("from livekit.plugins import no_such_plugin", "agent:server", "[voice]' livekit-plugins-no-such-plugin`"),
        ("import livekit.plugins.no_such_one", "agent:server", "[voice]' livekit-plugins-no-such-one`"),
    ],
)
def test_code_that_cannot_be_hosted_is_refused_in_one_sentence(
    fork: Fork, code: str, entrypoint: str, wanted: str
) -> None:
    """Before it has a process."""
    failed = fork(code, entrypoint=entrypoint).receive(InitFailed)
    assert wanted in failed.message and "\n" not in failed.message
    assert "/agenthost/" not in failed.traceback


def test_a_module_without_agent_is_refused(fork: Fork, tmp_path: Path) -> None:
    """With the ways out of it."""
    (tmp_path / "no_agent.py").write_text("answer = 42\n")
    failed = fork("", entrypoint="no_agent").receive(InitFailed)
    assert "neither calls `cli.run_app(…)` nor has an AgentServer: add one" in failed.message
    assert "`no_agent:function`" in failed.message


@pytest.mark.parametrize(
    ("script", "wanted"),
    [
        ("answer = 42\n", "neither calls `cli.run_app(…)` nor has an AgentServer"),
        ("from livekit.agents import cli\ncli.run_app({})\n", "gives an object of type dict to `cli.run_app(…)`"),
        ("raise ValueError('no key')\n", "running it failed with ValueError: no key"),
        ("import sys\nsys.exit('no key')\n", "running it failed with SystemExit: no key"),
        ("import livekit.plugins.no_such_one\n", "[voice]' livekit-plugins-no-such-one`"),
        ("def broken(:\n", "running it failed with SyntaxError"),
    ],
)
def test_a_script_that_gives_no_agent_is_refused(fork: Fork, tmp_path: Path, script: str, wanted: str) -> None:
    """Whatever it does instead."""
    (tmp_path / "script.py").write_text(script)
    failed = fork("", entrypoint="script.py").receive(InitFailed)
    assert wanted in failed.message
    assert "/agenthost/" not in failed.traceback


def test_a_script_that_is_not_there_is_refused(fork: Fork) -> None:
    """With the folder that was looked in."""
    failed = fork("", entrypoint="nowhere.py").receive(InitFailed)
    assert "there is no script `nowhere.py`" in failed.message


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        (["from livekit.agents import JobContext, WorkerOptions, cli", "def plain(ctx: JobContext): ...",
          "cli.run_app(WorkerOptions(entrypoint_fnc=plain))"], 2),
        (["from livekit.agents import JobContext, WorkerOptions, cli", "async def entry(ctx: JobContext): ...",
          "cli.run_app(WorkerOptions(entrypoint_fnc=entry, load_fnc=3))"], 3),
        (["from livekit.agents import AgentServer, cli", "server = AgentServer()", "cli.run_app(server)"], 3),
        (["from livekit.agents import cli", "cli.run_app(None)"], 2),
    ],
)  # fmt: skip
def test_the_line_in_the_script_is_named(fork: Fork, tmp_path: Path, lines: list[str], line: int) -> None:
    """Of what is wrong: the function, or else what is given to `cli.run_app`."""
    (tmp_path / "script.py").write_text("\n".join(lines))
    failed = fork("", entrypoint="script.py").receive(InitFailed)
    assert (Path(failed.file).name, failed.line) == ("script.py", line)


@pytest.mark.parametrize("entrypoint", ["module:server", "module", "module.py"])
@pytest.mark.parametrize(
    ("server", "line"),
    [
        (["server = AgentServer()"], 5),
        (["if True:", "    server = AgentServer()"], 6),
    ],
)
def test_the_line_in_the_module_is_named(
    fork: Fork, tmp_path: Path, entrypoint: str, server: list[str], line: int
) -> None:
    """Where the module makes the object that cannot be used, and not where a function has one of the same name."""
    lines = ["from livekit.agents import AgentServer", "", "server = None", "", *server, "", "def other():",
             "    server = AgentServer()"]  # fmt: skip
    (tmp_path / "module.py").write_text("\n".join(lines))
    failed = fork("", entrypoint=entrypoint).receive(InitFailed)
    assert "has no session" in failed.message
    assert (Path(failed.file).name, failed.line) == ("module.py", line)


def test_a_module_that_would_take_over_the_command_line_is_stopped(fork: Fork, tmp_path: Path) -> None:
    """Whichever way it has come by `cli.run_app`; nothing of livekit-agents' command line is seen."""
    (tmp_path / "eager.py").write_text("from livekit.agents.cli import run_app\n\nrun_app(None)\n")
    process = fork("", entrypoint="eager:server")
    failed = process.receive(InitFailed)
    assert "`eager` calls `cli.run_app(…)` when it is imported" in failed.message
    assert "name the script (`eager.py`)" in failed.message
    assert (Path(failed.file).name, failed.line, failed.traceback) == ("eager.py", 3, "")
    process.wait()
    assert "Usage" not in process.output
