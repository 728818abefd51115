"""The user's own code is imported by each process: what it makes then is that process's alone, forked or spawned."""

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agenthost.jobs import JobStatus
from tests.support.agent_host import Start, folder_of

SITE = "site-packages"
"""A folder of this name holds libraries, wherever it lies."""


def install(folder: Path, name: str, code: str) -> dict[str, str]:
    """A library beside the agent, as if it were installed; the environment in which it is found."""
    package = folder / SITE / name
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(code)
    return {"PYTHONPATH": str(folder / SITE)}


@pytest.fixture
async def numbering() -> AsyncIterator[int]:
    """The port of a server that tells each connection its number, again whenever it is asked."""
    numbers = itertools.count(1)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = next(numbers)
        try:
            while await reader.read(1):
                writer.write(f"{number}\n".encode())
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


CONNECTED = """
import socket
connection = socket.create_connection(("127.0.0.1", {port}))

async def entrypoint(ctx: JobContext) -> None:
    connection.sendall(b"?")
    number = connection.recv(100)
    await until("both")
    tell(ctx, number=int(number))
"""


async def test_no_job_sees_the_connection_of_another(start_any: Start, numbering: int) -> None:
    """Opened when the module is imported, used by jobs side by side."""
    agent = await start_any(CONNECTED.format(port=numbering))
    jobs = [await agent.offer() for _ in range(3)]
    agent.let_go("both")
    for job in jobs:
        await agent.ended(job, JobStatus.SUCCESS)
    assert len({agent.facts(job)["number"] for job in jobs}) == 3


IDS = """
import random, uuid
from datetime import datetime
import numpy
ID, STARTED = str(uuid.uuid4()), datetime.now().isoformat()
R, RNG = random.Random(), numpy.random.default_rng()
FILE = Path(f"log-{ID}.txt")

async def entrypoint(ctx: JobContext) -> None:
    tell(ctx, id=ID, started=STARTED, random=R.random(), rng=float(RNG.random()), file=FILE.name)
"""


async def test_what_is_drawn_at_import_differs_from_job_to_job(start_any: Start) -> None:
    """Idle processes included: two of them wait."""
    agent = await start_any(IDS, "num_idle_processes: 2")
    facts = [await agent.run() for _ in range(4)]
    for name in facts[0]:
        assert len({each[name] for each in facts}) == 4, name


LOOP = """
loop = asyncio.new_event_loop()
lock = asyncio.Lock()

async def hold():
    async with lock:
        await asyncio.sleep(0)

def prewarm(proc):
    loop.run_until_complete(hold())

async def entrypoint(ctx: JobContext) -> None:
    tell(ctx)
"""


async def test_event_loop_made_at_import_is_the_processes_own(start: Start) -> None:
    """A shared one would wake for the other's events: under load jobs would be accepted and never start."""
    agent = await start(LOOP, "prewarm: my_agent:prewarm")
    jobs = await asyncio.gather(*(agent.offer() for _ in range(8)))
    for job in jobs:
        await agent.ended(job, JobStatus.SUCCESS)


ARGUMENTS = """
SEEN = sys.argv
assert sys.orig_argv[1:] == SEEN

async def entrypoint(ctx: JobContext) -> None:
    import multiprocessing
    tell(ctx, argv=SEEN, name=multiprocessing.current_process().name)
"""


@pytest.mark.parametrize(
    ("yaml", "arguments"),
    [("", ["start"]), ("arguments: [--language, de]", ["--language", "de"]), ("arguments: []", [])],
)
async def test_arguments_and_process_name_are_not_ours(start_any: Start, yaml: str, arguments: list[str]) -> None:
    """`--host-pid` is no argument of the user's; what only a main process is to do, no job does."""
    agent = await start_any(ARGUMENTS, yaml)
    facts = await agent.run()
    assert facts["argv"] == [str(agent.folder / "my_agent.py"), *arguments]
    assert facts["name"] != "MainProcess"


PRELOADED = """
import sys
assert sys.argv == [""], sys.argv
"""


async def test_a_preloaded_module_sees_no_arguments(start: Start) -> None:
    """It is shared by agents that have others."""
    (folder_of(start) / "preloaded.py").write_text(PRELOADED)
    agent = await start(ARGUMENTS, "preload: [preloaded]")
    assert (await agent.run())["argv"][1:] == ["start"]


SEVERAL = """
import helpers

async def entrypoint(ctx: JobContext) -> None:
    tell(ctx, value=helpers.VALUE)
"""


async def test_edits_that_nobody_reloaded_touch_no_job(start_any: Start) -> None:
    """The files may be broken or gone meanwhile: processes import what their generation was proven with."""
    folder = folder_of(start_any)
    (folder / "helpers.py").write_text("VALUE = 1\n")
    agent = await start_any(SEVERAL)
    assert await agent.run() == {"value": 1}
    (folder / "my_agent.py").write_text("this is no Python\n")
    (folder / "helpers.py").unlink()
    assert await agent.run() == {"value": 1}
    agent.host.signal(signal.SIGHUP)
    await agent.host.wait_event("reload failed")
    assert await agent.run() == {"value": 1}


async def test_a_reload_of_edited_code_keeps_the_template(start: Start) -> None:
    """It has libraries only: a reload has to prove one process."""
    (start.args[2] / "helpers.py").write_text("VALUE = 1\n")
    agent = await start(SEVERAL)
    assert await agent.run() == {"value": 1}
    (agent.folder / "helpers.py").write_text("VALUE = 2\n")
    agent.host.signal(signal.SIGHUP)
    await agent.host.wait_event("reloaded")
    assert await agent.run() == {"value": 2}
    assert len(agent.host.events("template ready")) == 1


TICKING = """
import threading, time
threading.Thread(target=time.sleep, args=(300,), name="ticker", daemon=True).start()
"""
USES_LIBRARIES = """
import plain
import ticking

async def entrypoint(ctx: JobContext) -> None:
    tell(ctx, threads=[each.name for each in threading.enumerate()], plain=plain.PID, pid=os.getpid())
"""


async def test_library_that_starts_a_thread_is_left_out_by_name(start: Start) -> None:
    """One line names it; each process has its thread, and the other libraries come from the template all the same."""
    folder = start.args[2]
    install(folder, "plain", "import os\nPID = os.getpid()\n")
    agent = await start(USES_LIBRARIES, env=install(folder, "ticking", TICKING))
    [line] = agent.host.events("library left out of the template")
    assert line.fields["library"] == "ticking"
    assert "thread 'ticker', started at" in line.fields["reason"]
    facts = await agent.run()
    assert facts["threads"] == ["MainThread", "ticker"]
    assert facts["plain"] == agent.template
    assert agent.host.events("forking is not safe") == []


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import socket\nkept = socket.socket()\n", "a socket at {}/__init__.py:2"),
        (
            "import socket\nserver = socket.create_server(('127.0.0.1', 0))\nkept = socket.socket()\n"
            "kept.connect(server.getsockname())\n",
            "a connection to 127.0.0.1:",
        ),
        ("import asyncio\nkept = asyncio.new_event_loop()\n", "an event loop at {}/__init__.py:2"),
        ("import my_settings\n", "imports code of yours"),
    ],
)
async def test_library_that_makes_what_cannot_be_shared_is_left_out(start: Start, code: str, reason: str) -> None:
    """The process imports it as it would anywhere."""
    (start.args[2] / "my_settings.py").write_text("")
    user = "import opening\nasync def entrypoint(ctx: JobContext): tell(ctx)\n"
    agent = await start(user, env=install(start.args[2], "opening", code))
    [line] = agent.host.events("library left out of the template")
    assert reason.format(start.args[2] / SITE / "opening") in line.fields["reason"]
    await agent.run()


CHANGES_ENVIRONMENT = """
os.environ["LIBRARY_MODE"] = "fast"
import plain

async def entrypoint(ctx: JobContext) -> None:
    tell(ctx, mode=plain.MODE, shared=plain.PID != os.getpid())
"""


async def test_library_is_imported_in_the_environment_that_the_code_made_for_it(start: Start) -> None:
    """By the template as well, before it runs any of that code."""
    library = "import os\nMODE, PID = os.environ.get('LIBRARY_MODE'), os.getpid()\n"
    agent = await start(CHANGES_ENVIRONMENT, env=install(start.args[2], "plain", library))
    assert await agent.run() == {"mode": "fast", "shared": True}


async def test_library_that_is_imported_by_name_at_run_time_is_learned(start: Start) -> None:
    """It cannot be read off the text; the process that proves the code tells of it."""
    code = """
    import importlib
    plain = importlib.import_module("pla" + "in")

    async def entrypoint(ctx: JobContext) -> None:
        tell(ctx, shared=plain.PID != os.getpid())
    """
    agent = await start(code, env=install(start.args[2], "plain", "import os\nPID = os.getpid()\n"))
    assert [await agent.run(), await agent.run()] == [{"shared": True}] * 2


async def test_agent_that_is_installed_itself_is_the_users_own(start: Start) -> None:
    """A package that the file names is no library, wherever it lies."""
    code = """
    import json, uuid
    from pathlib import Path
    ID = str(uuid.uuid4())

    async def entrypoint(ctx):
        Path(f"{ctx.job.id}.json").write_text(json.dumps({"id": ID}))
    """
    env = install(start.args[2], "packaged", "\n".join(line[4:] for line in code.splitlines()))
    agent = await start("", "entrypoint: packaged:entrypoint", env=env)
    assert (await agent.run())["id"] != (await agent.run())["id"]


async def test_thread_that_every_interpreter_has_makes_processes_spawn(start: Start) -> None:
    """A `sitecustomize`, as profilers and debuggers bring: one warning says where the thread comes from."""
    folder = start.args[2] / "customised"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(TICKING)
    code = "async def entrypoint(ctx: JobContext): tell(ctx, threads=[each.name for each in threading.enumerate()])\n"
    agent = await start(code, env={"PYTHONPATH": str(folder)})
    assert [await agent.run(), await agent.run()] == [{"threads": ["MainThread", "ticker"]}] * 2
    [line] = agent.host.events("forking is not safe")
    assert "thread 'ticker'" in line.fields["reason"]
    assert os.fspath(folder / "sitecustomize.py") in line.fields["reason"]
