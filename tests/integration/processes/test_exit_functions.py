"""Exit functions of jobs under a real host."""

from pathlib import Path

from agenthost.jobs import JobStatus
from tests.support.agent_host import Start

LIBRARY = """
import atexit, os, tempfile, weakref

class Kept: pass

kept = Kept()
folder = tempfile.mkdtemp(dir=".")
atexit.register(lambda: open("template-ran-" + str(os.getpid()), "w"))
weakref.finalize(kept, os.rmdir, folder)
"""

CODE = """
import atexit, weakref

class Own: pass
OWN = Own()

async def entrypoint(ctx: JobContext) -> None:
    path = Path(f"{ctx.job.id}.exit").absolute()
    atexit.register(path.write_text, "ran")
    weakref.finalize(OWN, Path(f"{ctx.job.id}.final").absolute().touch)
"""


async def test_exit_functions_of_a_job_run_and_those_of_its_template_do_not(start: Start, tmp_path: Path) -> None:
    """A folder that a preloaded library removes at exit outlives each job; what the job itself registered has run."""
    (tmp_path / "exits_library.py").write_text(LIBRARY)
    agent = await start(CODE, "preload: [exits_library]")
    for _ in range(2):
        job = await agent.offer()
        await agent.ended(job, JobStatus.SUCCESS)
        assert (agent.folder / f"{job}.exit").read_text() == "ran"
        assert (agent.folder / f"{job}.final").exists()
    assert len(list(agent.folder.glob("tmp*"))) == 1
    assert not list(agent.folder.glob("template-ran-*"))


async def test_exit_functions_of_a_spawned_job_run(start: Start) -> None:
    """The process is the job's alone."""
    agent = await start(CODE, start_method="spawn")
    job = await agent.offer()
    await agent.ended(job, JobStatus.SUCCESS)
    assert (agent.folder / f"{job}.exit").read_text() == "ran"


async def test_exit_functions_that_take_their_time_are_not_taken_for_a_blocked_loop(start: Start) -> None:
    """The host hears that the process lives; the job has ended as it did."""
    code = """
    import atexit
    async def entrypoint(ctx: JobContext) -> None:
        atexit.register(time.sleep, 6.5)
    """
    agent = await start(code)
    job = await agent.offer()
    await agent.ended(job, JobStatus.SUCCESS, timeout=20)
    assert not agent.host.events("job's event loop is blocked")
