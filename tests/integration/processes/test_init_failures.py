"""Code that cannot start: one error that names agent, phase, exception, file and line, and the right exit code."""

import os
import signal
import textwrap

import pytest

from agenthost.jobs import JobStatus
from tests.support.agent_host import Start

OK = "\nasync def entrypoint(ctx: JobContext) -> None:\n    pass\n"


@pytest.mark.parametrize(
    ("code", "yaml", "phase", "error"),
    [
        ("import no_such_module", "", "import", "No module named 'no_such_module'"),
        ("key = os.environ['NO_SUCH_KEY']", "", "import", "KeyError: 'NO_SUCH_KEY'"),
        ("sys.exit('not today')", "", "import", "SystemExit: not today"),
        ("exec('def broken(:')", "", "import", "SyntaxError"),
        ("def prewarm(proc): raise RuntimeError('no model')", "prewarm: my_agent:prewarm", "prewarm", "no model"),
    ],
    ids=["missing module", "missing variable", "exit", "syntax error", "prewarm"],
)
async def test_failure_names_agent_phase_exception_and_line(
    start_any: Start, code: str, yaml: str, phase: str, error: str
) -> None:
    """Scenario 6: on stderr, exit 78, with the user's traceback and none of ours."""
    agent = await start_any(f"# first\n{code}\n{OK}", yaml, ready=False)
    assert await agent.host.exit_code() == 78
    text = agent.host.stderr
    line = (agent.folder / "my_agent.py").read_text().splitlines().index(code) + 1
    assert "agent `probe`" in text
    assert f"{phase} failed" in text
    assert error in text
    assert f"my_agent.py:{line}" in text
    assert "agenthost/" not in text.replace(str(agent.folder), "")
    assert text.count(error) <= 3


async def test_import_that_hangs_dumps_its_stacks(start_any: Start) -> None:
    """Scenario 6, the hang: the line where it hangs is in the log, the limit in the error."""
    # a busy machine must have come to the user's code by then, which a spawned process does last
    agent = await start_any(f"def slowly():\n    time.sleep(60)\nslowly()\n{OK}", "limits: { init: 5s }", ready=False)
    assert await agent.host.exit_code(timeout=40) == 78
    assert "limits.init (5 s)" in agent.host.stderr
    said = "\n".join(str(line.fields.get("traceback", "")) + line.message for line in agent.host.lines)
    assert "in slowly" in said
    assert "my_agent.py" in said


async def test_job_whose_code_broke_since_is_reported_with_the_line(start_any: Start) -> None:
    """The process is started after the offer was accepted; its prewarm fails then."""
    code = """
    def prewarm(proc):
        if Path("broken").exists():
            raise RuntimeError("broken since")
    """
    agent = await start_any(textwrap.dedent(code) + OK, "prewarm: my_agent:prewarm")
    agent.let_go("broken")
    error = await agent.ended(await agent.offer(), JobStatus.FAILED)
    assert "prewarm failed: RuntimeError" in error and "broken since" in error and "my_agent.py:" in error


async def test_very_long_error_is_cut_not_lost(start_any: Start) -> None:
    """A message to the host is one packet: an exception of a megabyte must still arrive as one."""
    agent = await start_any(f"raise ValueError('x' * 1_000_000)\n{OK}", ready=False)
    assert await agent.host.exit_code() == 78
    assert "ValueError: xxx" in agent.host.stderr
    assert len(agent.host.stderr) < 100_000


async def test_working_directory_that_vanished_is_told(start: Start, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Between the check of the file and the start of a template."""
    folder = tmp_path_factory.mktemp("work")
    agent = await start(OK, f"working_dir: {folder}")
    folder.rmdir()
    os.kill(agent.template, signal.SIGKILL)
    line = await agent.host.wait_event("template failed")
    assert "FileNotFoundError" in line.fields["error"] and str(folder) in line.fields["error"]


async def test_working_directory_that_vanished_fails_the_job_that_is_spawned(
    start: Start, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """There is no template to be made anew: the job's own process cannot go there."""
    folder = tmp_path_factory.mktemp("work")
    agent = await start(OK, f"working_dir: {folder}\nnum_idle_processes: 0", start_method="spawn")
    await agent.ended(await agent.offer(), JobStatus.SUCCESS)  # by the process that showed that the code works
    folder.rmdir()
    error = await agent.ended(await agent.offer(), JobStatus.FAILED)
    assert "FileNotFoundError" in error and str(folder) in error
