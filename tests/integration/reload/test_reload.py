"""Reloads of a real host by SIGHUP: what changes, what does not, and that no running job notices.

Both start methods where it matters where the code is loaded. What is asked of jobs that begin while code on the disk is
broken holds for forked ones only: a spawned one has nothing else to load.
"""

import json
import signal
from pathlib import Path

import pytest

from agenthost.jobs import JobStatus
from agenthost.testing.livekit_server import FakeLiveKitServer
from agenthost.testing.values import OfferOutcome
from tests.support.host import HostProcess, write_agent
from tests.support.polling import poll
from tests.support.protocols import RunHost
from tests.support.saving import save

CODE = """
import asyncio
from pathlib import Path

from agenthost import JobContext, JobProcess

VERSION = 1


def prewarm(proc: JobProcess) -> None:
    pass


async def entrypoint(ctx: JobContext) -> None:
    Path(f"ran-{ctx.room.name}").write_text(str(VERSION))
    while not Path(f"leave-{ctx.room.name}").exists():
        await asyncio.sleep(0.02)
"""

YAML = """
version: 1
agent_name: a
entrypoint: my_agent:entrypoint
prewarm: my_agent:prewarm
num_idle_processes: 1
load: { max_jobs: 50 }
http: { listen: "127.0.0.1:0" }
limits: { shutdown: 1s }
"""

IMPATIENT = YAML.replace("shutdown: 1s", "shutdown: 1s, init: 5s")


class Edited:
    """A running host and its two files; `change` edits one and has the host reload."""

    def __init__(self, host: HostProcess, folder: Path, server: FakeLiveKitServer) -> None:
        self.host = host
        self.folder = folder
        self.server = server

    async def change(self, *, yaml: str | None = None, code: str | None = None, ok: bool = True) -> dict[str, object]:
        """The fields of the log line that says what came of it."""
        if yaml is not None:
            (self.folder / "agenthost.yaml").write_text(yaml)
        if code is not None:
            (self.folder / "my_agent.py").write_text(code)
        event = "reloaded" if ok else "reload failed"
        before = len(self.host.events(event))
        self.host.signal(signal.SIGHUP)
        return dict((await self.host.wait_event(event, count=before + 1)).fields)

    async def job(self, room: str, agent_name: str = "a") -> str:
        """The version of the code that a new job runs."""
        result = await self.server.offer(room, agent_name=agent_name)
        assert result.outcome is OfferOutcome.ASSIGNED, result
        await self.server.wait_status(result.job_id, JobStatus.RUNNING)
        await self.host.wait_event("job started", job_id=result.job_id)
        file = self.folder / f"ran-{room}"
        while not file.exists() or not file.read_text():
            await self.host.http("/healthz")  # the job writes in its first millisecond; this is how long we wait
        return file.read_text()

    async def generations(self, agent: str) -> dict[int, int]:
        """How many jobs each generation of an agent has, as `status` tells."""
        status = json.loads((await self.host.http("/worker"))[1])
        found = [one["generations"] for one in status["agents"] if one["id"] == agent]
        return {one["number"]: one["jobs"] for one in found[0]} if found else {}

    async def wait_running(self, count: int) -> None:
        """Until the server believes that so many jobs run."""
        await poll(lambda: self._running() == count, timeout=10, what=f"not {count} jobs run")

    def _running(self) -> int:
        last = [self.server.statuses(offer.job_id)[-1:] for offer in self.server.offers]
        return sum(bool(update) and update[0].status is JobStatus.RUNNING for update in last)


async def start(run_host: RunHost, folder: Path, server: FakeLiveKitServer) -> Edited:
    """A registered host with a job that runs version 1."""
    host = await run_host(write_agent(folder, CODE, YAML), "--log-level=DEBUG", server=server)
    await host.wait_event("host started")
    found = Edited(host, folder, server)
    assert await found.job("first") == "1"
    return found


@pytest.fixture
async def edited(run_host: RunHost, tmp_path: Path, fake_server: FakeLiveKitServer) -> Edited:
    return await start(run_host, tmp_path, fake_server)


@pytest.fixture
async def edited_any(run_any_host: RunHost, tmp_path: Path, fake_server: FakeLiveKitServer) -> Edited:
    """The same, once with each start method."""
    return await start(run_any_host, tmp_path, fake_server)


async def test_new_code_serves_new_jobs_and_old_jobs_keep_theirs(edited_any: Edited) -> None:
    """A new generation; the job of the old one goes on and ends by itself."""
    await edited_any.change(code=CODE.replace("VERSION = 1", "VERSION = 2"))
    code = [{"what": "code", "note": "my_agent.py"}]
    assert edited_any.host.events("change applied", kind="new generation", changed=code)
    assert await edited_any.job("second") == "2"
    await edited_any.wait_running(2)
    (edited_any.folder / "leave-first").touch()
    await edited_any.host.wait_event("job ended", room="first", outcome="succeeded")
    await edited_any.wait_running(1)
    assert len(edited_any.host.events("registered")) == 1


async def test_no_process_of_replaced_code_stays(edited_any: Edited, start_method: str) -> None:
    """Not even one whose start was asked for in the moment in which its generation was retired."""
    expected = len(["host", "first job", "idle process"]) + 1  # the template, or the base that has made none and stays
    for version in range(2, 10):
        await edited_any.job(f"room-{version}")  # takes the idle process, so that another is started
        await edited_any.change(code=CODE.replace("VERSION = 1", f"VERSION = {version}"))
    for version in range(2, 10):
        (edited_any.folder / f"leave-room-{version}").touch()
    await edited_any.wait_running(1)
    await poll(lambda: len(edited_any.host.survivors()) == expected, timeout=10, what="processes stay")
    assert not edited_any.host.events("process failed")


async def test_same_second_edit_of_equal_size_is_seen(edited_any: Edited) -> None:
    """The bytecode trap: Python's cache compares seconds and sizes."""
    for version in range(2, 6):
        await edited_any.change(code=CODE.replace("VERSION = 1", f"VERSION = {version}"))
        assert await edited_any.job(f"room-{version}") == str(version)


async def test_live_keys_change_without_a_new_generation_or_registration(edited: Edited) -> None:
    """Slots, settings and rules: the next offer sees them."""
    await edited.change(yaml=YAML + "requests: { otherwise: reject }\n")
    refused = await edited.server.offer("x", agent_name="a")
    assert refused.outcome is OfferOutcome.REJECTED
    await edited.host.wait_event("offer rejected", reason="otherwise")
    await edited.change(yaml=YAML.replace("max_jobs: 50", "max_jobs: 1"))
    assert (await edited.server.offer("y", agent_name="a")).outcome is OfferOutcome.NO_WORKER
    slots = [{"what": "load.max_jobs", "old": "50", "new": "1"}]
    assert edited.host.events("change applied", agent="", kind="live", changed=slots)
    otherwise = [{"what": "requests.otherwise", "old": "reject", "new": "accept"}]
    assert edited.host.events("change applied", agent="a", kind="live", changed=otherwise)
    assert not edited.host.events("change applied", kind="new generation")
    assert len(edited.host.events("registered")) == 1


async def test_a_host_that_is_full_by_a_limit_which_goes_is_available_again(edited: Edited) -> None:
    """Also when no limit is left that anything is measured for."""
    await edited.change(yaml=YAML.replace("max_jobs: 50", "memory: 0.1%"))
    await edited.host.wait_event("load limit reached")
    await edited.server.wait_report("a", lambda report: not report.available)
    await edited.change(yaml=YAML)
    await edited.server.wait_report("a", lambda report: report.available)
    assert await edited.job("second") == "1"


async def test_permissions_and_settings_hold_for_the_next_job(edited: Edited) -> None:
    """Live: the code is not imported again, the registration stays, and the job that runs keeps what it has."""
    tells = CODE.replace("str(VERSION)", "f\"{ctx.token_claims().video.can_publish} {ctx.settings['voice']}\"")
    settings = YAML + "settings: { voice: alba }\n"
    await edited.change(yaml=settings, code=tells)
    assert await edited.job("second") == "True alba"
    generations = len(edited.host.events("template ready"))
    await edited.change(yaml=settings.replace("alba", "nova") + "permissions: { can_publish: false }\n")
    assert await edited.job("third") == "False nova"
    [said] = edited.host.events("change applied", kind="live")[-1:]
    assert said.fields["changed"] == [
        {"what": "permissions.can_publish", "old": "true", "new": "false"},
        {"what": "settings.voice", "old": "alba", "new": "nova"},
    ]
    assert len(edited.host.events("template ready")) == generations
    assert len(edited.host.events("registered")) == 1
    await edited.wait_running(3)


async def test_reload_is_over_when_the_server_knows_of_it(edited: Edited) -> None:
    """Whoever dispatches on the line `reloaded` finds the load, the name and the rules that the file has now."""
    for number in range(4):
        full = YAML.replace("max_jobs: 50", "max_jobs: 1")
        await edited.change(yaml=full)
        assert (await edited.server.offer(f"full-{number}", agent_name="a")).outcome is OfferOutcome.NO_WORKER
        await edited.change(yaml=YAML.replace("max_jobs: 50", f"max_jobs: {60 + number}"))
        assert await edited.job(f"free-{number}") == "1"
        (edited.folder / f"leave-free-{number}").touch()
        await edited.wait_running(1)
    for number in range(4):
        name = f"renamed-{number}"
        await edited.change(yaml=YAML.replace("agent_name: a", f"agent_name: {name}"))
        assert await edited.job(name, agent_name=name) == "1"


async def test_agent_under_another_id_takes_what_was_dispatched_for_it_before(edited: Edited) -> None:
    """The id of the file's only agent is its name: a new name is a new agent, which goes on for the old one."""
    await edited.change(yaml=YAML.replace("agent_name: a", "agent_name: b"))
    assert edited.host.events("change applied", agent="a", kind="removed", changed=[{"what": "goes on as `b`"}])
    assert await edited.job("late", agent_name="a") == "1"
    assert await edited.job("new", agent_name="b") == "1"
    (edited.folder / "leave-late").touch()
    await edited.host.wait_event("job ended", room="late", agent="b")


async def test_same_name_under_another_id_is_served_by_the_new_agent(edited: Edited) -> None:
    """To the server nothing changes but the socket; from the end of the reload on it is the new agent's code."""
    (edited.folder / "other.py").write_text(CODE.replace("VERSION = 1", "VERSION = 2"))
    several = (
        "version: 1\nnum_idle_processes: 0\nload: { max_jobs: 50 }\n"
        'http: { listen: "127.0.0.1:0" }\nlimits: { shutdown: 1s }\n'
        "agents:\n  other: { agent_name: a, entrypoint: other:entrypoint }\n"
    )
    await edited.change(yaml=several)
    for number in range(5):
        assert await edited.job(f"room-{number}") == "2"
    await edited.wait_running(6)


@pytest.mark.parametrize(
    ("yaml", "code", "told"),
    [
        (YAML + "nonsense: 1\n", None, "nonsense"),
        (YAML + "  bad: [\n", None, "AH0"),
        (YAML.replace("my_agent:entrypoint", "nowhere:entrypoint"), None, "nowhere"),
        (None, "def broken(:\n", "my_agent"),
        (None, CODE + "\nraise RuntimeError('at import')\n", "at import"),
        (YAML + "settings: { key: '${NO_SUCH_VARIABLE}' }\n", None, "the variable NO_SUCH_VARIABLE is not set"),
        (None, CODE.replace("    pass\n", "    raise KeyError('in prewarm')\n", 1), "in prewarm"),
        (IMPATIENT, CODE.replace("    pass\n", "    import time; time.sleep(600)\n", 1), "limits.init (5 s)"),
        (IMPATIENT, CODE + "\nimport time; time.sleep(600)\n", "limits.init (5 s)"),
    ],
    ids=[
        "unknown key",
        "syntax",
        "module missing",
        "python syntax",
        "import raises",
        "unset variable",
        "prewarm raises",
        "prewarm hangs",
        "import hangs",
    ],
)
async def test_broken_edit_changes_nothing_and_the_mended_one_works(
    edited: Edited, yaml: str | None, code: str | None, told: str
) -> None:
    """Scenario 16: the old code stays registered and serves; the running job goes on; once mended, new code serves."""
    failed = await edited.change(yaml=yaml, code=code, ok=False)
    assert told in json.dumps(failed)
    assert await edited.job("while broken") == "1"
    _, metrics = await edited.host.http("/metrics")
    assert "agenthost_config_last_reload_successful 0.0" in metrics
    await edited.change(yaml=YAML, code=CODE.replace("VERSION = 1", "VERSION = 3"))
    assert await edited.job("mended") == "3"
    await edited.wait_running(3)
    _, metrics = await edited.host.http("/metrics")
    assert "agenthost_config_last_reload_successful 1.0" in metrics


async def test_code_that_hangs_is_shown_where_it_does(edited_any: Edited) -> None:
    """Like an exception: file and line in the error, and the user's own frames as a traceback."""
    hangs = CODE.replace("    pass\n", "    import time; time.sleep(600)\n", 1)
    failed = await edited_any.change(yaml=IMPATIENT, code=hangs, ok=False)
    line = hangs.splitlines().index("    import time; time.sleep(600)") + 1
    place = f"my_agent.py:{line}"
    assert f"agent `a` hangs at {edited_any.folder}/{place}: a process was not ready within" in str(failed["error"])
    assert str(failed["traceback"]).splitlines()[-2:] == [
        f'  File "{edited_any.folder}/my_agent.py", line {line}, in prewarm',
        "    import time; time.sleep(600)",
    ]


async def test_renamed_agent_registers_anew_before_the_old_name_leaves(edited: Edited) -> None:
    """The old socket stays, full, until its last job has ended; then it closes."""
    old = await edited.server.wait_registered("a")
    await edited.change(yaml=YAML.replace("agent_name: a", "agent_name: b"))
    await edited.server.wait_report("b", lambda report: report.available)
    assert await edited.job("second", agent_name="b") == "1"
    await edited.server.wait_report("a", lambda report: not report.available)
    await edited.wait_running(2)
    (edited.folder / "leave-first").touch()
    await edited.server.wait_gone(old)
    await edited.host.wait_event("registration closed", agent_name="a")
    await edited.wait_running(1)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("def broken(:\n", "my_agent"),
        (CODE.replace("    pass\n", "    raise KeyError('in prewarm')\n", 1), "in prewarm"),
    ],
    ids=["import", "prewarm"],
)
async def test_broken_edit_ends_nothing_and_the_mended_one_works(edited_any: Edited, code: str, told: str) -> None:
    """Whatever new jobs load meanwhile: the reload says what is wrong; the registration and the running job stay."""
    failed = await edited_any.change(code=code, ok=False)
    assert told in json.dumps(failed)
    await edited_any.wait_running(1)
    await edited_any.change(code=CODE.replace("VERSION = 1", "VERSION = 3"))
    assert await edited_any.job("mended") == "3"
    await edited_any.wait_running(2)
    assert len(edited_any.host.events("registered")) == 1
    assert not edited_any.host.events("job ended")


async def test_refused_credentials_change_nothing(edited: Edited, fake_server: FakeLiveKitServer) -> None:
    """At the first start they end the host; in a reload they are a broken edit like any other."""
    wrong = f'livekit: {{ url: "{fake_server.url}", api_key: "${{WRONG:-nobody}}" }}\n'
    failed = await edited.change(yaml=YAML + wrong, ok=False)
    assert "refused" in str(failed["error"])
    assert await edited.job("second") == "1"
    await edited.change(yaml=YAML)
    assert await edited.job("third") == "1"


async def test_module_that_was_missing_mends_the_reload_when_it_comes(edited: Edited) -> None:
    """Nobody imported it so far, so nobody watched it; the same goes for a file that the YAML names."""
    watching = YAML + "reload: { watch: [config, code] }\n"
    await edited.change(yaml=watching)
    failures = len(edited.host.events("reload failed"))
    save(edited.folder / "my_agent.py", "import late\n" + CODE.replace("VERSION = 1", "VERSION = late.NUMBER"))
    await edited.host.wait_event("reload failed", count=failures + 1)
    reloads = len(edited.host.events("reloaded"))
    save(edited.folder / "late.py", "NUMBER = 7\n")
    await edited.host.wait_event("reloaded", count=reloads + 1)
    assert await edited.job("second") == "7"
    save(edited.folder / "agenthost.yaml", watching + 'settings: { text: "${file:late.txt}" }\n')
    await edited.host.wait_event("reload failed", count=failures + 2)
    save(edited.folder / "late.txt", "here\n")
    await edited.host.wait_event("reloaded", count=reloads + 2)


async def test_agents_come_and_go(edited: Edited) -> None:
    """An agent is added beside the first, and removed again; the first never notices."""
    several = (
        "version: 1\nnum_idle_processes: 0\nload: { max_jobs: 50 }\n"
        'http: { listen: "127.0.0.1:0" }\nlimits: { shutdown: 1s }\n'
        "agents:\n  a: { entrypoint: my_agent:entrypoint, prewarm: my_agent:prewarm }\n"
        "  c: { entrypoint: my_agent:entrypoint }\n"
    )
    await edited.change(yaml=several)
    await edited.server.wait_report("c", lambda report: report.available)
    assert await edited.job("of c", agent_name="c") == "1"
    await edited.change(yaml=several, code=CODE.replace("VERSION = 1", "VERSION = 2"))
    assert await edited.job("also of c", agent_name="c") == "2"
    await edited.change(yaml=YAML)
    assert edited.host.events("change applied", agent="c", kind="removed")
    await edited.wait_running(3)


async def test_status_has_every_generation_with_its_jobs_until_the_last_ends(edited: Edited) -> None:
    """Of replaced code, and of an agent that is in the file no more."""
    several = YAML + "agents: { a: {}, c: {} }\n"
    several = "\n".join(
        line for line in several.splitlines() if not line.startswith(("agent_name", "entry", "prewarm"))
    )
    several = several.replace("{}", "{ entrypoint: my_agent:entrypoint }")
    await edited.change(yaml=several)
    assert await edited.job("c-1", agent_name="c") == "1"
    await edited.change(code=CODE.replace("VERSION = 1", "VERSION = 2"))
    assert await edited.job("c-2", agent_name="c") == "2"
    assert await edited.generations("c") == {1: 1, 2: 1}
    await edited.change(yaml=YAML)
    assert await edited.generations("c") == {1: 1, 2: 1}
    status = json.loads((await edited.host.http("/worker"))[1])
    removed = [(agent["id"], agent["removed"], agent["jobs"]) for agent in status["agents"]]
    assert removed == [("a", False, 1), ("c", True, 2)]
    assert (status["jobs"], status["pid"]) == (3, edited.host.pid)
    for number, left in ((1, {2: 1}), (2, {})):
        (edited.folder / f"leave-c-{number}").touch()
        await edited.host.wait_event("job ended", room=f"c-{number}")
        assert await edited.generations("c") == left


async def test_equal_content_is_no_reload(edited: Edited) -> None:
    """A touched file, a comment: nothing is done."""
    await edited.change(yaml=YAML + "# a comment\n")
    assert not edited.host.events("change applied")


async def test_draining_host_refuses_to_reload(edited: Edited) -> None:
    """Old jobs end; nothing is started for a host that is going."""
    edited.host.signal(signal.SIGTERM)
    await edited.host.wait_event("draining")
    (edited.folder / "agenthost.yaml").write_text(YAML.replace("max_jobs: 50", "max_jobs: 9"))
    edited.host.signal(signal.SIGHUP)
    (edited.folder / "leave-first").touch()
    assert await edited.host.exit_code() == 0
    assert not edited.host.events("reloaded")
