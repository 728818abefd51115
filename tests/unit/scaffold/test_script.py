"""How a livekit-agents script sets itself up."""

from pathlib import Path

import pytest

from agenthost.errors import EntrypointError, UsageError
from agenthost.scaffold.expressions import Call, Function, Literal, Named, Unknown, Variable
from agenthost.scaffold.script import describe, read_script

IMPORTS = "from livekit.agents import AgentServer, ServerOptions, WorkerOptions, WorkerType, cli\n"
CODE = "async def entrypoint(ctx): ...\n"
ENTRYPOINT = Function(reference="app:entrypoint")


def settings_of(tmp_path: Path, text: str) -> dict[str, object]:
    (tmp_path / "app.py").write_text(IMPORTS + text)
    script = read_script(tmp_path / "app.py", "app", shown="app.py")
    return {setting.name: setting.value for setting in script.settings}


@pytest.mark.parametrize(
    "text",
    [
        CODE + "cli.run_app(WorkerOptions(entrypoint_fnc=entrypoint, agent_name='a'))",
        CODE + "if __name__ == '__main__':\n  cli.run_app(WorkerOptions(entrypoint, agent_name='a'))",
        CODE + "def main():\n  options = ServerOptions(entrypoint, agent_name='a')\n  cli.run_app(options)",
        "s = AgentServer()\n@s.rtc_session(agent_name='a')\n" + CODE,
        CODE + "s = AgentServer()\ns.rtc_session(entrypoint, agent_name='a')",
        CODE + "s: AgentServer = AgentServer()\ns.rtc_session(func=entrypoint, agent_name='a')",
        CODE + "s = AgentServer.from_server_options(ServerOptions(entrypoint, agent_name='a'))",
    ],
)
def test_all_ways_to_set_up_an_agent(tmp_path: Path, text: str) -> None:
    """Old and new, as a call, an object or a decorator."""
    assert settings_of(tmp_path, text) == {"entrypoint_fnc": ENTRYPOINT, "agent_name": Literal(value="a")}


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        (CODE + "if __name__ == '__main__':\n  cli.run_app(WorkerOptions(entrypoint))", False),
        (CODE + "cli.run_app(WorkerOptions(entrypoint))", True),  # cannot be imported
        ("def main():\n  s = AgentServer()\n  @s.rtc_session\n  async def inner(ctx): ...\n  cli.run_app(s)", True),
        ("def make():\n  s = AgentServer()\n  @s.rtc_session\n  async def inner(ctx): ...\n  return s", False),
    ],
)
def test_whether_only_the_whole_script_names_its_agent(tmp_path: Path, text: str, whole: bool) -> None:
    """When it is run, it hands it over."""
    (tmp_path / "app.py").write_text(IMPORTS + text)
    assert read_script(tmp_path / "app.py", "app", shown="app.py").whole is whole


RUN = "if __name__ == '__main__':\n  "


@pytest.mark.parametrize(
    "text",
    [
        f"from livekit.agents import cli\nfrom .agent import server\n{RUN}cli.run_app(server)",
        f"import agent\nfrom livekit.agents.cli import run_app\n{RUN}run_app(agent.options)",
        f"from livekit.agents import cli\nfrom agent import make\n{RUN}cli.run_app(make(port=8081))",
        "from livekit.agents import cli\nfrom agent import server\ndef main():\n  cli.run_app(server)",
        "from agent import server\n@server.rtc_session()\nasync def entrypoint(ctx): ...\n"
        f"from livekit.agents import cli\n{RUN}cli.run_app(server)",
        f"import asyncio\nfrom agent import server\n{RUN}asyncio.run(server.run())",
        f"import asyncio\nfrom agent import server\nasync def main():\n  await server.run()\n{RUN}asyncio.run(main())",
        "import threading\nfrom livekit.agents import cli\nfrom agent import server\n"
        f"{RUN}threading.Thread(target=cli.run_app, args=(server,)).start()",
    ],
)
def test_script_that_only_runs_an_agent_is_taken_as_a_whole(tmp_path: Path, text: str) -> None:
    """What it runs is somewhere else; when it is run, it hands that over."""
    (tmp_path / "main.py").write_text(text)
    script = read_script(tmp_path / "main.py", "main", shown="main.py")
    assert script.whole and script.settings == ()


@pytest.mark.parametrize(
    "text",
    [
        "from agent import server\nprint(server)",
        "from flask import Flask\napp = Flask(__name__)\napp.run()",
        "from livekit.agents.cli import run_app",
    ],
)
def test_script_that_runs_none_is_refused(tmp_path: Path, text: str) -> None:
    """With what it would take."""
    (tmp_path / "main.py").write_text(text)
    with pytest.raises(UsageError, match=r"and no cli\.run_app\(…\); write a file"):
        read_script(tmp_path / "main.py", "main", shown="main.py")


def test_decorator_without_call(tmp_path: Path) -> None:
    """`@server.rtc_session` needs no parentheses."""
    found = settings_of(tmp_path, "s = AgentServer()\n@s.rtc_session\nasync def entrypoint(ctx): ...")
    assert found == {"entrypoint_fnc": ENTRYPOINT}


def test_options_of_a_server_come_from_everywhere(tmp_path: Path) -> None:
    """Arguments, properties and update_options; names are those of WorkerOptions; the last value wins."""
    text = """
s = AgentServer(num_idle_processes=1, setup_fnc=entrypoint)
async def entrypoint(ctx): ...
s.setup_fnc = entrypoint
s.other = 7
s.update_options(num_idle_processes=2)
s.rtc_session(entrypoint, type=WorkerType.ROOM, on_request=entrypoint, on_session_end=entrypoint)
"""
    assert settings_of(tmp_path, text) == {
        "num_idle_processes": Literal(value=2),
        "prewarm_fnc": ENTRYPOINT,
        "entrypoint_fnc": ENTRYPOINT,
        "type": Named(name="livekit.agents.WorkerType.ROOM"),
        "request_fnc": ENTRYPOINT,
        "session_end_fnc": ENTRYPOINT,
    }


@pytest.mark.parametrize(
    ("text", "expected"), [("load_dotenv()", ".env"), ("load_dotenv('a')", "a"), ("load_dotenv(dotenv_path='a')", "a")]
)
def test_env_file(tmp_path: Path, text: str, expected: str) -> None:
    """python-dotenv is how scripts read theirs."""
    found = settings_of(tmp_path, f"from dotenv import load_dotenv\n{text}\nWorkerOptions(print)")
    assert found["env_file"] == Literal(value=expected)


def test_function_that_is_not_at_the_top_cannot_be_named(tmp_path: Path) -> None:
    """The file names `module:attribute`."""
    text = "s = AgentServer()\ndef make():\n  @s.rtc_session()\n  async def inner(ctx): ..."
    assert isinstance(settings_of(tmp_path, text)["entrypoint_fnc"], Unknown)


def test_classes_of_the_same_name_from_elsewhere_do_not_count(tmp_path: Path) -> None:
    """Only livekit-agents' own."""
    (tmp_path / "app.py").write_text("from mine import WorkerOptions\nWorkerOptions(print)")
    with pytest.raises(UsageError, match="sets up no agent"):
        read_script(tmp_path / "app.py", "app", shown="app.py")


def test_missing_script_is_one_sentence(tmp_path: Path) -> None:
    """Where, what."""
    with pytest.raises(UsageError, match=r"^cannot read app\.py: no such file or directory$"):
        read_script(tmp_path / "app.py", "app", shown="app.py")


@pytest.mark.parametrize("text", ["def f(:\n", "x = '\0'", "x = " + "-" * 200_000 + "1"])
def test_broken_script_is_an_error_of_the_code(tmp_path: Path, text: str) -> None:
    """Also such as exhausts the parser."""
    (tmp_path / "app.py").write_text(text)
    with pytest.raises(EntrypointError, match=r"app\.py"):
        read_script(tmp_path / "app.py", "app", shown="app.py")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Literal(value="a secret"), "a str"),
        (Literal(value=7), "7"),
        (Unknown(text="compute(1)"), "`compute(1)`"),
        (Unknown(text="decode('secret')"), "an expression"),
        (Function(reference="a:b"), "`a:b`"),
        (Named(name="livekit.agents.WorkerType"), "`WorkerType`"),
        (Call(name="livekit.agents.X", positional=(), keywords={}), "`X`"),
        (Variable(name="A", default="secret", required=False), "the variable A"),
    ],
)
def test_values_are_described_without_their_texts(value: Literal, expected: str) -> None:
    """A note must not carry a secret from a script into a file."""
    assert describe(value) == expected
