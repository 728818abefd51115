"""A script's main process: it runs as its author runs it, once a generation, and what it hands over is hosted."""

import asyncio
import json
import os
import signal
import socket
import textwrap
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from agenthost.cli.main import main
from agenthost.errors import ExitCode
from agenthost.jobs import JobStatus
from agenthost.testing.livekit_server import FakeLiveKitServer
from agenthost.testing.values import OfferOutcome
from tests.support.host import HostProcess
from tests.support.polling import poll
from tests.support.protocols import RunHost

pytest.importorskip("livekit.agents")

pytestmark = pytest.mark.timeout(120)  # each host imports livekit-agents, which takes seconds on a busy machine

AGENT = """
import json, multiprocessing, os, sys, threading, uuid
from pathlib import Path
from livekit.agents import AgentServer, JobContext, JobProcess, WorkerOptions, cli

SEEN = {"id": str(uuid.uuid4()), "key": os.getenv("LIVEKIT_API_KEY", "none"), "name": __name__}

async def entrypoint(ctx: JobContext) -> None:
    facts = SEEN | {"process": multiprocessing.current_process().name, "argv": sys.argv, "pid": os.getpid()}
    Path(f"{ctx.job.id}.json").write_text(json.dumps(facts | ctx.proc.userdata))
    ctx.shutdown("done")

def prewarm(proc: JobProcess) -> None:
    proc.userdata["prewarmed"] = True
"""


async def run(
    run_host: RunHost, server: FakeLiveKitServer, folder: Path, entrypoint: str, *more: str, yaml: str = ""
) -> HostProcess:
    keys = {"entrypoint": entrypoint, "http": "{ listen: none }", "load": "{ max_jobs: 9 }", "log_level": "DEBUG"}
    keys |= {"num_idle_processes": "0", "limits": "{ init: 60s }"}
    file = folder / "agenthost.yaml"
    file.write_text("".join(f"{key}: {value}\n" for key, value in keys.items()) + textwrap.dedent(yaml))
    host = await run_host(file, *more, server=server, cwd=folder, env={"LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE": "0"})
    await host.wait_event("host started", timeout=60)
    return host


async def facts_of_job(server: FakeLiveKitServer, folder: Path, name: str = "", room: str = "room") -> dict[str, Any]:
    offered = await server.offer(room, agent_name=name)
    assert offered.outcome is OfferOutcome.ASSIGNED
    await server.wait_status(offered.job_id, JobStatus.SUCCESS)
    facts: dict[str, Any] = json.loads((folder / f"{offered.job_id}.json").read_text())
    return facts


GUARD = """
if __name__ == "__main__":
    with open("ran", "a") as file:
        print(multiprocessing.current_process().name, file=file)
    cli.run_app(WorkerOptions(entrypoint_fnc=entrypoint, prewarm_fnc=prewarm, agent_name="scripted"))
"""


async def test_the_guarded_block_runs_once_and_jobs_import_as_multiprocessing_does(
    run_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path
) -> None:
    """A job's module is `__mp_main__`, it is no MainProcess, and has ids of its own; the pair is there at import."""
    (tmp_path / "main.py").write_text(AGENT + GUARD)
    await run(run_host, fake_server, tmp_path, "main.py")
    facts = [await facts_of_job(fake_server, tmp_path, "scripted", f"room-{number}") for number in range(2)]
    assert (tmp_path / "ran").read_text().splitlines() == ["MainProcess"]
    assert len({each["id"] for each in facts}) == 2
    for each in facts:
        assert each["name"] == "__mp_main__"
        assert each["process"] != "MainProcess"
        assert each["argv"] == [str(tmp_path / "main.py"), "start"]
        assert each["key"] == fake_server.api_key
        assert each["prewarmed"]


@pytest.mark.parametrize(("yaml", "arguments"), [("", ["dev"]), ("arguments: [--port, '8080']", ["--port", "8080"])])
async def test_script_sees_the_command_or_the_arguments_of_the_file(
    run_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path, yaml: str, arguments: list[str]
) -> None:
    """Its main process, as its jobs: some look for `dev` in there, some have arguments of their own."""
    code = GUARD.replace("multiprocessing.current_process().name", "*sys.argv, sep='|'")
    (tmp_path / "main.py").write_text(AGENT + code)
    keys = f"entrypoint: main.py\nhttp: {{ listen: none }}\nload: {{ max_jobs: 9 }}\n{yaml}\n"
    (tmp_path / "agenthost.yaml").write_text(keys)
    host = await run_host("--set", "log_format=json", command="dev", server=fake_server, cwd=tmp_path)
    await host.wait_event("host started", timeout=60)
    facts = await facts_of_job(fake_server, tmp_path, "scripted")
    assert facts["argv"] == [str(tmp_path / "main.py"), *arguments]
    assert (tmp_path / "ran").read_text().splitlines() == ["|".join(facts["argv"])]


RUNS = {
    "asyncio.run(server.run())": "asyncio.run(server.run())",
    "in a gather": "async def both():\n"
    "        await asyncio.gather(server.run(), asyncio.sleep(3600))\n"
    "    asyncio.run(both())",
    "from options": "asyncio.run(AgentServer.from_server_options("
    "WorkerOptions(entrypoint_fnc=entrypoint, prewarm_fnc=prewarm, agent_name='scripted')).run())",
    "in a thread": "threading.Thread(target=cli.run_app, args=(server,)).start()\n    time.sleep(3600)",
    "in a spawned process": "multiprocessing.get_context('spawn').Process(target=run).start()\n    time.sleep(3600)",
    "by a server": "multiprocessing.get_context('forkserver').Process(target=run).start()\n    time.sleep(3600)",
    "in a process": "multiprocessing.get_context('fork').Process(target=cli.run_app, args=(server,)).start()\n"
    "    time.sleep(3600)",
}


@pytest.mark.parametrize("form", RUNS)
async def test_however_it_runs_its_agent_there_is_one_registration(
    run_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path, form: str
) -> None:
    """The host's: no second real worker comes up behind its back. A reload ends the one and begins the next."""
    server = "server = AgentServer(setup_fnc=prewarm)\nserver.rtc_session(entrypoint, agent_name='scripted')\n"
    called = "from livekit.agents.cli import run_app\ndef run():\n    run_app(server)\n"
    script = f'import asyncio, time\n{AGENT}{server}{called}if __name__ == "__main__":\n    {RUNS[form]}\n'
    (tmp_path / "main.py").write_text(script)
    host = await run(run_host, fake_server, tmp_path, "main.py")
    assert (await facts_of_job(fake_server, tmp_path, "scripted"))["prewarmed"]
    assert len(fake_server.workers) == 1
    (tmp_path / "main.py").write_text(f"{script}# edited\n")
    host.signal(signal.SIGHUP)
    await host.wait_event("reloaded", timeout=60)
    assert (await facts_of_job(fake_server, tmp_path, "scripted"))["prewarmed"]
    assert len(fake_server.workers) == 1
    assert host.events("main process ended") == []


SERVED = """
from http.server import BaseHTTPRequestHandler, HTTPServer

class Health(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(os.getpid()).encode())

if __name__ == "__main__":
    web = HTTPServer(("127.0.0.1", {port}), Health)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    cli.run_app(WorkerOptions(entrypoint_fnc=entrypoint, agent_name="scripted"))
"""
WEB_IN_MAIN = """
    options = WorkerOptions(entrypoint_fnc=entrypoint, agent_name="scripted")
    threading.Thread(target=cli.run_app, args=(options,)).start()
    web.serve_forever()
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


async def served_by(port: int) -> int:
    def get() -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            return int(answer.read())

    return await asyncio.to_thread(get)


@pytest.mark.parametrize("web_in", ["thread", "main"])
async def test_web_server_beside_the_agent_lives_once_on_its_fixed_port(
    run_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path, web_in: str
) -> None:
    """No job binds it, and a reload begins the next one before the last has ended."""
    port = free_port()
    script = AGENT + SERVED.format(port=port)
    if web_in == "main":
        script = script[: script.index("    threading.Thread(target=web")] + WEB_IN_MAIN[1:]
    (tmp_path / "main.py").write_text(script)
    host = await run(run_host, fake_server, tmp_path, "main.py")
    first = await served_by(port)
    facts = await facts_of_job(fake_server, tmp_path, "scripted")
    assert facts["pid"] != first
    assert await served_by(port) == first
    (tmp_path / "main.py").write_text(f"{script}# edited\n")
    host.signal(signal.SIGHUP)
    await host.wait_event("reloaded", timeout=60)

    async def replaced() -> int:
        try:
            now = await served_by(port)
        except ConnectionError:  # it waited in the queue of the one that has just ended
            return 0
        return now if now != first else 0

    deadline = asyncio.get_running_loop().time() + 20
    while not await replaced():
        assert asyncio.get_running_loop().time() < deadline, "the first one still serves"
    await facts_of_job(fake_server, tmp_path, "scripted")


async def test_main_process_that_ends_is_started_anew(
    run_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path
) -> None:
    """It may serve others; jobs do not need it."""
    port = free_port()
    (tmp_path / "main.py").write_text(AGENT + SERVED.format(port=port))
    host = await run(run_host, fake_server, tmp_path, "main.py")
    first = await served_by(port)
    os.kill(first, signal.SIGKILL)
    line = await host.wait_event("main process ended")
    assert "SIGKILL" in line.fields["cause"]
    await facts_of_job(fake_server, tmp_path, "scripted")

    def answers() -> bool:
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", port)) == 0

    await poll(answers, timeout=20, what="nothing serves the port again")
    assert await served_by(port) != first


PACKAGE = {
    "script in a package": ("pkg/main.py", "from .agent import entrypoint, prewarm", True),
    "script without __init__": ("pkg/main.py", "from .agent import entrypoint, prewarm", False),
    "its __main__": ("pkg/__main__.py", "from pkg.agent import entrypoint, prewarm", True),
    "module": ("pkg.main", "from .agent import entrypoint, prewarm", True),
    "package": ("pkg", "from .agent import entrypoint, prewarm", True),
    "src": ("src/pkg/main.py", "from pkg.agent import entrypoint, prewarm", True),
    "module in src": ("pkg.main", "from pkg.agent import entrypoint, prewarm", True),
}


@pytest.mark.parametrize("shape", PACKAGE)
async def test_scripts_of_packages_run_and_keep_their_options(
    run_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path, shape: str
) -> None:
    """As with `python -m`; what `cli.run_app` was given counts."""
    entrypoint, imports, has_init = PACKAGE[shape]
    folder = tmp_path / ("src/pkg" if "src" in shape else "pkg")
    folder.mkdir(parents=True)
    if has_init:
        (folder / "__init__.py").touch()
    (folder / "agent.py").write_text(AGENT)
    name = "main" if "main.py" in entrypoint or entrypoint == "pkg.main" else "__main__"
    (folder / f"{name}.py").write_text(
        f"import multiprocessing\nfrom livekit.agents import WorkerOptions, cli\n{imports}\n{GUARD}"
    )
    await run(run_host, fake_server, tmp_path, entrypoint)
    facts = await facts_of_job(fake_server, tmp_path, "scripted")
    assert facts["prewarmed"]
    assert facts["key"] == fake_server.api_key
    assert (tmp_path / "ran").read_text().splitlines() == ["MainProcess"]


RUNS_OPTIONS = 'if __name__ == "__main__":\n    cli.run_app(options)\n'
CHECKS = """
if not os.getenv("LIVEKIT_API_SECRET"):
    sys.exit(1)
"""


@pytest.mark.parametrize("entrypoint", ["main.py", "main:options"])
async def test_code_that_needs_the_pair_at_import_has_it(
    run_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path, entrypoint: str
) -> None:
    """And gives it to its options itself: an equal value is no conflict."""
    options = (
        'options = WorkerOptions(entrypoint_fnc=entrypoint, agent_name="scripted", '
        'ws_url=os.environ["LIVEKIT_URL"], api_key=SEEN["key"], api_secret=os.environ["LIVEKIT_API_SECRET"])\n'
    )
    (tmp_path / "main.py").write_text(AGENT + CHECKS + options + RUNS_OPTIONS)
    await run(run_host, fake_server, tmp_path, entrypoint)
    assert (await facts_of_job(fake_server, tmp_path, "scripted"))["key"] == fake_server.api_key


@pytest.mark.parametrize("package", ["", "pkg"])
async def test_a_file_can_be_made_from_a_script_that_only_runs_what_it_imports(
    run_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    """`init --from` names the script, and with its options the agent is hosted."""
    folder = tmp_path / package
    folder.mkdir(exist_ok=True)
    server = "server = AgentServer(setup_fnc=prewarm)\nserver.rtc_session(entrypoint, agent_name='scripted')\n"
    (folder / "agent.py").write_text(AGENT + server)
    dot = "." if package else ""
    script = f"from livekit.agents import cli\nfrom {dot}agent import server\n"
    (folder / "main.py").write_text(f'{script}if __name__ == "__main__":\n    cli.run_app(server)\n')
    monkeypatch.chdir(tmp_path)
    name = f"{package}/main.py".lstrip("/")
    assert main(["init", "--from", name]) == ExitCode.OK
    file = tmp_path / "agenthost.yaml"
    assert f"\nentrypoint: {name}\n" in file.read_text()
    file.write_text(file.read_text() + "http: { listen: none }\nlimits: { init: 60s }\n")
    host = await run_host(file, server=fake_server, cwd=tmp_path, env={"LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE": "0"})
    await host.wait_event("host started", timeout=60)
    assert (await facts_of_job(fake_server, tmp_path, "scripted"))["prewarmed"]


@pytest.mark.parametrize("entrypoint", ["main.py", "main:options"])
async def test_options_without_effect_are_one_warning(
    run_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path, entrypoint: str
) -> None:
    """That lists them; the agent runs, and every process that imports the code says nothing of it."""
    options = (
        'options = WorkerOptions(entrypoint_fnc=entrypoint, agent_name="scripted", host="127.0.0.1", port=8081, '
        'max_retry=5, log_level="DEBUG", multiprocessing_context="spawn", prometheus_port=9090)\n'
    )
    (tmp_path / "main.py").write_text(AGENT + options + RUNS_OPTIONS)
    host = await run(run_host, fake_server, tmp_path, entrypoint)
    for number in range(2):
        await facts_of_job(fake_server, tmp_path, "scripted", f"room-{number}")
    (warned,) = host.events("options of the code have no effect")
    assert warned.level == "WARNING"
    names = [each.split("`")[1] for each in warned.fields["options"].split("; ")]
    assert names == ["host", "log_level", "max_retry", "multiprocessing_context", "port", "prometheus_port"]


@pytest.mark.parametrize("entrypoint", ["main.py", "main:options"])
@pytest.mark.parametrize("option", ["ws_url='ws://elsewhere:7880'", "api_key='another'"])
async def test_another_server_or_key_than_the_hosts_is_refused(
    run_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path, entrypoint: str, option: str
) -> None:
    """Exit 78 and a sentence: its callers are somewhere else."""
    options = f'options = WorkerOptions(entrypoint_fnc=entrypoint, agent_name="scripted", {option})\n'
    (tmp_path / "main.py").write_text(AGENT + options + RUNS_OPTIONS)
    file = tmp_path / "agenthost.yaml"
    file.write_text(f"entrypoint: {entrypoint}\nhttp: {{ listen: none }}\nlimits: {{ init: 60s }}\n")
    host = await run_host(file, server=fake_server, cwd=tmp_path)
    assert await host.exit_code(timeout=60) == 78
    name = option.partition("=")[0]
    assert f"wants another LiveKit server, or another key, than the host: `{name}`" in host.stderr


WRONG = {
    "guarded function": (
        'if __name__ == "__main__":\n    async def inside(ctx: JobContext): ...\n'
        "    cli.run_app(WorkerOptions(entrypoint_fnc=inside))\n",
        "Define functions above that",
    ),
    "no agent": ("", "neither calls `cli.run_app(…)` nor has an AgentServer"),
    "another thing": ("cli.run_app(entrypoint)\n", "which takes an AgentServer or WorkerOptions"),
    "raises": ('if __name__ == "__main__":\n    raise ValueError("no port")\n', "ValueError: no port"),
}


@pytest.mark.parametrize("what", WRONG)
async def test_script_that_cannot_be_hosted_is_one_clear_error(
    run_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path, what: str
) -> None:
    """Exit 78 and a sentence."""
    code, told = WRONG[what]
    (tmp_path / "main.py").write_text(AGENT + code)
    file = tmp_path / "agenthost.yaml"
    file.write_text("entrypoint: main.py\nhttp: { listen: none }\nlimits: { init: 60s }\n")
    host = await run_host(file, server=fake_server, cwd=tmp_path)
    assert await host.exit_code(timeout=60) == 78
    assert told in host.stderr
