"""A host of livekit-agents code in front of a fake server: what it learns from the code, and when."""

import signal
import textwrap
import time
from inspect import signature
from pathlib import Path

import psutil
import pytest

from agenthost.errors import ExitCode
from agenthost.jobs import JobStatus
from agenthost.testing.livekit_server import FakeLiveKitServer
from agenthost.testing.values import OfferOutcome
from tests.support.host import HostProcess
from tests.support.polling import poll
from tests.support.protocols import RunHost

pytest.importorskip("livekit.agents")
from livekit.agents.job import RunningJobInfo

pytestmark = pytest.mark.timeout(120)  # each host imports livekit-agents, which takes seconds on a busy machine

CODE = """
from livekit.agents import AgentServer, JobContext, WorkerOptions, cli

async def entrypoint(ctx: JobContext) -> None:
    ctx.shutdown("done by {name}")
"""

SERVER = "\nserver = AgentServer({options})\nserver.rtc_session(entrypoint, agent_name={name!r})\n"


def write(folder: Path, name: str, *, options: str = "", more: str = "") -> None:
    """`my_agent.py`, whose server is registered as `name`."""
    code = CODE.format(name=name) + textwrap.dedent(more) + SERVER.format(name=name, options=options)
    (folder / "my_agent.py").write_text(code)


def write_file(folder: Path, yaml: str = "entrypoint: my_agent:server") -> Path:
    keys = "http: { listen: none }\nload: { max_jobs: 9 }\nnum_idle_processes: 0\n"
    keys += "limits: { init: 60s }\nlog_level: DEBUG\n"
    file = folder / "agenthost.yaml"
    file.write_text(keys + textwrap.dedent(yaml))
    return file


async def run(
    run_host: RunHost, server: FakeLiveKitServer, *arguments: str | Path, command: str = "start"
) -> HostProcess:
    env = {"LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE": "0"}
    host = await run_host(*arguments, command=command, server=server, env=env)
    await host.wait_event("host started", timeout=60)
    return host


async def test_a_reload_takes_over_what_the_code_says_now(
    run_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path
) -> None:
    """Another name in the code is another registration; a reload without an edit leaves all as it is."""
    write(tmp_path, "before")
    host = await run(run_host, fake_server, write_file(tmp_path))
    assert [line.fields["agent_name"] for line in host.events("registered")] == ["before"]
    assert [line.fields["agent_name"] for line in host.events("agent configured")] == ["before"]
    host.signal(signal.SIGHUP)
    unchanged = await host.wait_event("reloaded")
    assert unchanged.fields["changes"] == 0
    write(tmp_path, "afterwards")
    host.signal(signal.SIGHUP)
    await host.wait_event("reloaded", count=2, timeout=60)
    assert host.events("registered", agent_name="afterwards")
    offered = await fake_server.offer("room", agent_name="afterwards")
    assert offered.outcome is OfferOutcome.ASSIGNED
    await fake_server.wait_status(offered.job_id, JobStatus.SUCCESS)
    ended = await host.wait_event("job ended")
    assert ended.fields["reason"] == "done by afterwards"


async def test_dev_runs_a_script_without_any_file(
    run_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path
) -> None:
    """`agenthost dev my_agent.py`, where people type `python my_agent.py dev`."""
    script = CODE.format(name="script") + 'if __name__ == "__main__":\n    cli.run_app(WorkerOptions(entrypoint))\n'
    (tmp_path / "my_agent.py").write_text(script)
    changes = ["--set", "http.listen=none", "--set", "limits.init=60s", "--set", "log_format=json"]
    host = await run(run_host, fake_server, "my_agent.py", *changes, command="dev")
    assert host.events("host started")[0].fields["file"] == "my_agent.py"  # what the banner shows, too
    offered = await fake_server.offer("room")
    assert offered.outcome is OfferOutcome.ASSIGNED
    assert (await host.wait_event("job ended")).fields["reason"] == "done by script"


@pytest.mark.skipif("received_at" not in signature(RunningJobInfo).parameters, reason="not in this version")
async def test_the_trace_of_a_job_has_its_dispatch(
    run_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path
) -> None:
    """When it was offered, accepted, assigned and given to a process, in this order, and its span begins with that."""
    more = """
    from pathlib import Path
    from livekit.agents import telemetry
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

    class Writer(SpanExporter):
        def export(self, spans):
            for span in spans:
                if span.name == "job_entrypoint":
                    lines = [f"{event.name} {event.timestamp}" for event in span.events]
                    Path("span").write_text("\\n".join([f"began {span.start_time}", *lines]))
            return SpanExportResult.SUCCESS

    def prewarm(process):
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(Writer()))
        telemetry.set_tracer_provider(provider)
    """
    write(tmp_path, "traced", more=more, options="setup_fnc=prewarm")
    await run(run_host, fake_server, write_file(tmp_path))
    before = time.time_ns()
    offered = await fake_server.offer("room", agent_name="traced")
    await fake_server.wait_status(offered.job_id, JobStatus.SUCCESS)
    times = dict(line.split() for line in (tmp_path / "span").read_text().splitlines())
    stages = ["job_received", "job_accepted", "job_assigned", "process_assigned", "entrypoint_started"]
    moments = [int(times[stage]) for stage in stages]
    assert [before, *moments] == sorted([before, *moments])
    assert moments[-1] < time.time_ns()
    assert times["began"] == times["job_received"]


async def test_spawned_processes_report_what_the_code_says(
    run_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path
) -> None:
    """Code that is imported by an interpreter of its own each time is registered under its own name."""
    write(tmp_path, "threaded")
    await run(run_host, fake_server, write_file(tmp_path, "entrypoint: my_agent:server\nstart_method: spawn"))
    offered = await fake_server.offer("room", agent_name="threaded")
    assert offered.outcome is OfferOutcome.ASSIGNED
    await fake_server.wait_status(offered.job_id, JobStatus.SUCCESS, timeout=40)


async def test_a_load_function_of_the_code_fills_the_host(
    run_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path
) -> None:
    """It is asked in the hook process, and its threshold is the code's."""
    write(tmp_path, "busy", options="load_fnc=lambda server: 0.6, load_threshold=0.5")
    file = write_file(tmp_path)
    file.write_text(file.read_text().replace("load: { max_jobs: 9 }\n", ""))
    host = await run(run_host, fake_server, file)
    full = await host.wait_event("load limit reached", agent="agent", timeout=30)
    assert full.fields["custom"] == 0.6


async def test_a_load_function_of_the_code_sees_the_active_jobs(
    run_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path
) -> None:
    """What each of them is, the worker's id, and what else the user's own server has."""
    code = """
    import asyncio
    from pathlib import Path

    def load(server) -> float:
        seen = "".join(f"{active.job.id} {active.job.room.name} " for active in server.active_jobs)
        Path("seen").write_text(f"{seen}on {server.id} of {server.load_fnc.__name__}")
        return 0.1

    async def entrypoint(ctx: JobContext) -> None:
        await asyncio.sleep(600)
    """
    write(tmp_path, "seeing", more=code, options="load_fnc=load")
    file = write_file(tmp_path)
    file.write_text(file.read_text().replace("load: { max_jobs: 9 }\n", ""))
    (tmp_path / "seen").touch()
    await run(run_host, fake_server, file)
    offered = await fake_server.offer("lobby", agent_name="seeing")
    (worker,) = fake_server.workers
    expected = f"{offered.job_id} lobby on {worker.id} of load"
    await poll(lambda: (tmp_path / "seen").read_text() == expected, timeout=5, what="the job is not seen")
    assert offered.outcome is OfferOutcome.ASSIGNED


async def test_an_idle_process_has_little_of_its_own(
    run_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path
) -> None:
    """At most 4 MiB, of all that livekit-agents is, and 3 for what its own code makes at import, the server for one."""
    code = """
    import os
    from pathlib import Path

    def prewarm(proc) -> None:
        Path(__file__).with_name(f"idle-{os.getpid()}").touch()
    """
    write(tmp_path, "idle", more=code, options="setup_fnc=prewarm, num_idle_processes=2")
    file = write_file(tmp_path)
    file.write_text(file.read_text().replace("num_idle_processes: 0\n", ""))
    await run(run_host, fake_server, file)
    pids = await poll(lambda: idle_pids(tmp_path), timeout=30)
    assert pids is not None
    # After prewarm it sleeps only to wait for a job.
    processes = [psutil.Process(pid) for pid in pids]
    await poll(lambda: all(process.status() == psutil.STATUS_SLEEPING for process in processes), timeout=30)
    assert max(process.memory_full_info().uss for process in processes) <= 7 * 2**20


def idle_pids(folder: Path) -> list[int] | None:
    pids = [int(file.name.removeprefix("idle-")) for file in folder.glob("idle-*")]
    return pids if len(pids) == 2 else None


async def test_two_agents_of_one_name_are_refused(
    run_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path
) -> None:
    """The file's own check cannot know: the names stand in the code."""
    write(tmp_path, "twin")
    yaml = """
    agents:
      first: my_agent:server
      second: my_agent:server
    """
    host = await run_host(write_file(tmp_path, yaml), server=fake_server)
    assert await host.exit_code(timeout=60) == ExitCode.CONFIG
    assert "the agents `first` and `second` register alike (agent_name 'twin'" in host.stderr


OTHER_VERSION = """
import importlib.machinery, sys

class Finder(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        spec = super().find_spec(name, path, target)
        if name == {module!r}:
            execute = spec.loader.exec_module
            spec.loader.exec_module = lambda module: (execute(module), exec({change!r}, vars(module)))
        return spec

sys.meta_path.insert(0, Finder)
"""


def other_version(folder: Path, module: str, change: str) -> dict[str, str]:
    """The environment of a host that finds livekit-agents with this `change` to the end of one of its modules."""
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(OTHER_VERSION.format(module=module, change=change))
    return {"PYTHONPATH": str(folder / "site"), "LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE": "0"}


async def test_a_version_that_fits_and_was_never_tried_runs_with_a_warning(
    run_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path
) -> None:
    """Newer than any there is: its parts are there, so it is used."""
    write(tmp_path, "newer")
    env = other_version(tmp_path, "livekit.agents.version", "__version__ = '1.9.0'")
    host = await run_host(write_file(tmp_path), server=fake_server, env=env)
    await host.wait_event("registered", timeout=60)
    warned = host.events("agenthost is not tried with this livekit-agents")
    assert [line.fields["version"] for line in warned] == ["1.9.0"]
    offered = await fake_server.offer("room", agent_name="newer")
    assert offered.outcome is OfferOutcome.ASSIGNED


@pytest.mark.parametrize(
    ("module", "renamed", "told"),
    [
        (
            "livekit.agents.voice.agent_session",
            "RoomSessionTransport",
            "AgentSession() going by livekit.agents.voice.agent_session.RoomSessionTransport",
        ),
        ("livekit.agents.worker", "_DefaultLoadCalc.get_load", "livekit.agents.worker:_DefaultLoadCalc.get_load"),
    ],
)
async def test_a_version_that_renamed_something_is_refused_in_one_sentence(
    module: str, renamed: str, told: str, run_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path
) -> None:
    """Before any call, with what is missing and what to install."""
    write(tmp_path, "renamed")
    env = other_version(tmp_path, module, f"{renamed}_ = {renamed}\ndel {renamed}")
    host = await run_host(write_file(tmp_path), server=fake_server, env=env)
    assert await host.exit_code(timeout=60) != ExitCode.OK
    assert "does not fit: it lacks" in host.output() and told in host.output()
    assert "install one of those, or a newer agenthost" in host.output()
    assert "/agenthost/voice/" not in host.output()
