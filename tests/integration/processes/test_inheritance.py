"""What a job process has, and above all what it has not: nothing of its template, its host or its neighbours shows.

Both start methods, but for bytecode of `preload`: only templates have what the base imported.
"""

import asyncio
import os
import resource
import signal
import sys
from pathlib import Path

import psutil
import pytest

from agenthost.testing.livekit_server import FakeLiveKitServer
from tests.support.agent_host import Start

PYTHONS_OWN = ("/dev/urandom", os.path.realpath(sys.executable))
"""What a Python that was built for an old C library, as those that uv installs, opens for itself and keeps open."""


def opened_by_python(link: str) -> bool:
    """libffi maps code for its closures from its own file, where it may not write any, and keeps that open."""
    return link in PYTHONS_OWN or "/libffi.so" in link


DESCRIPTORS = '''
LINKS = """
import contextlib, json, os
links = {}
for fd in os.listdir("/proc/self/fd"):
    with contextlib.suppress(OSError):  # the folder that was listed
        links[fd] = os.readlink(f"/proc/self/fd/{fd}")
"""

def own():
    space = {}
    exec(LINKS, space)
    return space["links"]

def executed():
    # neither close_fds nor anything else closes what was left inheritable
    code = LINKS + "print(json.dumps(links))"
    reader, writer = os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, writer, 1)]
    pid = os.posix_spawn(sys.executable, [sys.executable, "-S", "-c", code], os.environ, file_actions=actions)
    os.close(writer)
    os.waitpid(pid, 0)
    with open(reader) as output:
        return json.load(output)

async def entrypoint(ctx: JobContext) -> None:
    tell(ctx, own=own(), executed=executed(), stdin=os.read(0, 1).decode())
'''


async def test_job_has_its_own_descriptors_and_no_others(start_any: Start) -> None:
    """Standard streams, channel, log pipe, and its loop's three; a neighbour's job is running meanwhile."""
    agent = await start_any(DESCRIPTORS, "num_idle_processes: 1")
    first, second = await asyncio.gather(agent.run(), agent.run())
    for facts in (first, second):
        links = {int(fd): link for fd, link in facts["own"].items()}
        assert links.pop(0) == "/dev/null"
        kinds = sorted(link.partition("[")[0] for link in links.values() if not opened_by_python(link))
        assert kinds == ["anon_inode:", "pipe:", "pipe:", "pipe:", "socket:", "socket:", "socket:"]
        assert facts["stdin"] == ""
        executed = {int(fd): link for fd, link in facts["executed"].items()}
        assert [link for fd, link in executed.items() if fd > 2 and not opened_by_python(link)] == []
    pipes = [{link for link in facts["own"].values() if link.startswith("pipe")} for facts in (first, second)]
    assert not pipes[0] & pipes[1], "two jobs share an end of a pipe"


DEAF = """
import os, signal, sys
{}
os.execvp(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.parametrize(
    "what",
    [
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
        "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())",
    ],
    ids=["ignored", "blocked"],
)
async def test_signals_that_its_starter_did_not_hear_are_heard(start: Start, what: str) -> None:
    """Some supervisors ignore SIGCHLD or block all signals, which an exec hands on: jobs end, and so does the host."""
    code = "async def entrypoint(ctx):\n    tell(ctx, blocked=len(signal.pthread_sigmask(signal.SIG_BLOCK, ())))"
    agent = await start(code, under=(sys.executable, "-c", DEAF.format(what)))
    assert (await agent.run())["blocked"] == 0
    await agent.no_zombies()
    agent.host.signal(signal.SIGTERM)
    assert await agent.host.exit_code(timeout=20) == 0


SIGNALS = """
import asyncio
# what careless modules do when they are imported
signal.signal(signal.SIGTERM, lambda *_: None)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
signal.signal(signal.SIGUSR2, lambda *_: None)
reader, writer = os.pipe()
os.set_blocking(writer, False)
signal.set_wakeup_fd(writer)

async def entrypoint(ctx: JobContext) -> None:
    loop = asyncio.get_running_loop()
    heard = asyncio.Event()
    wakeup = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(wakeup)
    loop.add_signal_handler(signal.SIGUSR1, heard.set)
    os.kill(os.getpid(), signal.SIGUSR1)
    await asyncio.wait_for(heard.wait(), 5)
    program = await asyncio.create_subprocess_exec(sys.executable, "-c", "import time; time.sleep(60)")
    program.terminate()
    up, is_up = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(is_up, b"!")
        time.sleep(60)
        os._exit(7)
    os.read(up, 1)
    os.kill(pid, signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
    tell(
        ctx, wakeup=wakeup, usr2=str(signal.getsignal(signal.SIGUSR2)),
        blocked=len(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        program=await program.wait(), forked=os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]),
    )
"""


async def test_handlers_and_wakeup_descriptor_of_the_template_are_gone(start_any: Start) -> None:
    """A job survives SIGTERM and SIGINT (its host ends it); what it starts is ended by them as everywhere."""
    facts = await (await start_any(SIGNALS)).run()
    assert facts == {"wakeup": -1, "usr2": str(signal.SIG_DFL), "blocked": 0, "program": -15, "forked": -15}


RANDOM = """
import random, secrets, uuid
import numpy
random.seed(1)
numpy.random.seed(1)

async def entrypoint(ctx: JobContext) -> None:
    tell(
        ctx, random=random.random(), numpy=float(numpy.random.random()), uuid1=str(uuid.uuid1()),
        uuid4=str(uuid.uuid4()), secrets=secrets.token_hex(), system=random.SystemRandom().random(),
    )
"""


async def test_no_two_jobs_draw_the_same_random_numbers(start_any: Start) -> None:
    """Not even those of modules that were seeded when they were imported."""
    agent = await start_any(RANDOM)
    facts = await asyncio.gather(*(agent.run() for _ in range(6)))
    for source in facts[0]:
        assert len({each[source] for each in facts}) == 6, source


LIMITS = """
import resource

async def entrypoint(ctx: JobContext) -> None:
    names = ("TOKIO_WORKER_THREADS", "OPENBLAS_NUM_THREADS", "MALLOC_ARENA_MAX", "ORT_DISABLE_TELEMETRY")
    tell(
        ctx, files=resource.getrlimit(resource.RLIMIT_NOFILE), env={name: os.environ.get(name) for name in names},
        oom=Path("/proc/self/oom_score_adj").read_text().strip(), threads=len(os.listdir("/proc/self/task")),
        parent=os.getppid(), session=os.getsid(0) == os.getpid(), unwritten=not Path("__pycache__").exists(),
    )
"""


async def test_limits_and_environment_of_a_job(start_any: Start) -> None:
    """agenthost's own soft limit of open files, few threads, a session, the kernel's first choice when memory ends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    agent = await start_any(LIMITS, env={"MALLOC_ARENA_MAX": "3"})
    facts = await agent.run()
    assert psutil.Process(agent.host.pid).rlimit(psutil.RLIMIT_NOFILE) == (hard, hard)
    assert facts == {
        "files": [soft, hard],
        "env": {
            "TOKIO_WORKER_THREADS": "2",
            "OPENBLAS_NUM_THREADS": "1",
            "MALLOC_ARENA_MAX": "3",
            "ORT_DISABLE_TELEMETRY": "1",
        },
        "oom": "500",
        "threads": 1,
        "parent": agent.host.pid,
        "session": True,
        "unwritten": True,
    }


async def test_open_files_is_the_limit_of_the_job_and_of_nobody_else(start_any: Start) -> None:
    """`limits.open_files` is the soft limit of each job process."""
    agent = await start_any(LIMITS, "limits: { open_files: 123 }")
    assert (await agent.run())["files"] == [123, resource.getrlimit(resource.RLIMIT_NOFILE)[1]]


@pytest.mark.parametrize(("max_jobs", "possible"), [(100, []), (600, [112])])
async def test_max_jobs_is_checked_against_the_hosts_own_limit(
    start: Start, max_jobs: int, possible: list[int]
) -> None:
    """Each job takes some of its descriptors; which start method does not matter. 512 in all are enough for 112."""
    agent = await start(LIMITS, f"load: {{ max_jobs: {max_jobs} }}", under=("prlimit", "--nofile=256:512"))
    assert (await agent.run())["files"] == [256, 512]
    warned = agent.host.events("more jobs than open files allow", max_jobs=max_jobs, open_files=512)
    assert [line.fields["possible_jobs"] for line in warned] == possible


@pytest.mark.parametrize("given", [300, 900])
async def test_oom_score_is_raised_above_the_one_given_from_outside(start_any: Start, given: int) -> None:
    """An orchestrator may have given the whole container an adjustment; lowering it takes root, so nobody tries."""
    own = Path("/proc/self/oom_score_adj")
    before = own.read_text()
    own.write_text(str(given))
    try:
        agent = await start_any(LIMITS)
    finally:
        own.write_text(before)
    assert (await agent.run())["oom"] == str(min(1000, given + 500))
    assert Path(f"/proc/{agent.host.pid}/oom_score_adj").read_text().strip() == str(given)


SECRETS = {
    "usual": "",
    "named": """
livekit: { api_key: "${MY_KEY}", api_secret: "${MY_SECRET:?it is needed}" }
preload: early
""",
}


@pytest.mark.parametrize("names", SECRETS)
async def test_secret_is_in_no_environment_below_the_host(
    names: str, start_any: Start, fake_server: FakeLiveKitServer, tmp_path: Path
) -> None:
    """Neither as what a process was exec'd with nor as what user code sees, whatever the variables are called; nor
    can `env` bring the pair back."""
    code = """
    import early

    async def entrypoint(ctx: JobContext) -> None:
        tell(ctx, env=dict(os.environ), early=early.SEEN)
        await until("enough")
    """
    (tmp_path / "early.py").write_text("import os\nSEEN = dict(os.environ)\n")
    yaml = "num_idle_processes: 1\nenv: { MINE: yes please, LIVEKIT_API_KEY: mine }\n" + SECRETS[names]
    env = {"MY_KEY": fake_server.api_key, "MY_SECRET": fake_server.api_secret} if names == "named" else {}
    agent = await start_any(code, yaml, env=env)
    job, _ = await agent.start_job()
    await agent.wait_idle(1, timeout=20)
    facts = await agent.wait_facts(job)
    assert facts["env"]["MINE"] == "yes please"
    assert facts["env"]["LIVEKIT_URL"] == fake_server.url
    assert fake_server.api_secret not in str(facts) and "LIVEKIT_API_KEY" not in facts["env"]
    below = agent.children()
    assert len(below) >= 3
    for process in below:
        environ = Path(f"/proc/{process.pid}/environ").read_bytes()
        assert fake_server.api_secret.encode() not in environ
        assert fake_server.api_secret not in " ".join(process.cmdline())
    agent.let_go("enough")


PRINTS = """
import ctypes
libc = ctypes.CDLL(None)
libc.printf(b"native at import\\n")
print("imported", end="")

async def entrypoint(ctx: JobContext) -> None:
    print()
    print("python says hello")
    libc.printf(b"native says hello\\n")
    tell(ctx)
    await until("enough")
    libc.printf(b"native says good bye")
    sys.stdout.write("python says good bye")
"""


async def test_prints_reach_the_log_when_they_happen_and_only_once(start_any: Start) -> None:
    """Python's and C's buffers: nothing waits there while a job runs, is lost at its end, or comes twice by a fork."""
    agent = await start_any(PRINTS)
    job, pid = await agent.start_job()
    for text in ("python says hello", "native says hello"):
        await agent.host.wait_event(text, job_id=job, pid=pid)
    agent.let_go("enough")
    await agent.host.wait_event("job ended", job_id=job)
    said = "\n".join(line.message for line in agent.host.lines if line.fields.get("pid") == pid)
    assert said.count("native says good bye") == 1
    assert said.count("python says good bye") == 1
    agent.host.signal(signal.SIGTERM)
    assert await agent.host.exit_code() == 0
    imports = len({line.fields["pid"] for line in agent.host.events("native at import")})
    for text in ("imported", "native at import"):
        assert sum(line.message.count(text) for line in agent.host.lines) == imports


async def test_second_edit_within_a_second_is_what_is_reloaded(start_any: Start) -> None:
    """Equal size, equal second: bytecode written for the first edit would be taken for the second's."""
    code = "VALUE = 1\n\nasync def entrypoint(ctx: JobContext) -> None:\n    tell(ctx, value=VALUE)\n"
    agent = await start_any(code)
    assert await agent.run() == {"value": 1}
    module = agent.folder / "my_agent.py"
    times = module.stat()
    module.write_text(module.read_text().replace("VALUE = 1", "VALUE = 2"))
    os.utime(module, ns=(times.st_atime_ns, times.st_mtime_ns))
    agent.host.signal(signal.SIGHUP)
    await agent.host.wait_event("reloaded")
    assert await agent.run() == {"value": 2}
    assert not list(agent.folder.rglob("*.pyc"))


async def test_preload_leaves_no_bytecode_of_the_users_modules(start: Start, tmp_path: Path) -> None:
    """What the base imports is edited, too."""
    (tmp_path / "shared.py").write_text("VALUE = 1")
    code = """
    import shared

    async def entrypoint(ctx: JobContext) -> None:
        tell(ctx, value=shared.VALUE)
    """
    agent = await start(code, "preload: [shared]")
    assert await agent.run() == {"value": 1}
    assert not list(tmp_path.rglob("*.pyc"))
