"""`imports: shared`: the code is imported once for all jobs, and what they cannot share is found with its line."""

import pytest

from tests.support.agent_host import Start

SHARED = "imports: shared"

WRONG = {
    "connection": (
        "import socket\nserver = socket.create_server(('127.0.0.1', 0))\n"
        "made = socket.create_connection(server.getsockname())\n",
        ("a connection to 127.0.0.1:", "a socket that listens"),
    ),
    "loop": ("import asyncio\nmade = asyncio.new_event_loop()\n", ("an event loop",)),
    "thread": (
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=(300,), name='ticker', daemon=True).start()\n",
        ("thread 'ticker', started at",),
    ),
    "ffi": (
        "import asyncio\nfrom livekit import rtc\nmade = rtc.AudioSource(48000, 1, loop=asyncio.new_event_loop())\n",
        ("the livekit FFI",),
    ),
}


@pytest.mark.parametrize("what", WRONG)
async def test_what_no_jobs_can_share_is_an_error_with_its_line(start: Start, what: str) -> None:
    """Exit 78: they would get each other's answers, or hang."""
    code, told = WRONG[what]
    (start.args[2] / "made.py").write_text(code)
    agent = await start("import made\nasync def entrypoint(ctx): ...\n", SHARED, ready=False)
    assert await agent.host.exit_code() == 78
    assert any(text in agent.host.stderr for text in told)
    assert "made.py:" in agent.host.stderr
    assert "imports: shared" in agent.host.stderr


async def test_file_that_is_open_for_writing_is_a_warning(start: Start) -> None:
    """It may be meant: a log that all append to."""
    code = """
    log = open("log.txt", "a")

    async def entrypoint(ctx: JobContext) -> None:
        print("called", file=log, flush=True)
    """
    agent = await start(code, SHARED)
    [line] = agent.host.events("shared by all jobs")
    assert "log.txt" in line.fields["what"]
    assert "my_agent.py:" in line.fields["at"]
    await agent.host.wait_event("host started")


async def test_random_generator_is_a_warning(start: Start) -> None:
    """Each job would draw the numbers that the others draw, unless it seeds it."""
    code = "import random\ndice = random.Random()\nasync def entrypoint(ctx): ...\n"
    agent = await start(code, SHARED)
    [line] = agent.host.events("shared by all jobs")
    assert "random generator `dice`" in line.fields["what"]
    assert "my_agent.py:" in line.fields["at"]


async def test_code_is_imported_once_for_all(start: Start) -> None:
    """What the author knows to be fit for it is there before a job is."""
    code = "PID = os.getpid()\nasync def entrypoint(ctx: JobContext): tell(ctx, pid=PID)\n"
    agent = await start(code, SHARED)
    assert [await agent.run(), await agent.run()] == [{"pid": agent.template}] * 2
