"""Edits that come while a reload is only preparing: it begins anew at once, and nothing of the first try stays."""

import signal
import uuid
from pathlib import Path

import psutil
import pytest

from agenthost.testing.livekit_server import FakeLiveKitServer
from agenthost.testing.values import OfferOutcome
from tests.support.host import HostProcess, write_agent
from tests.support.polling import poll
from tests.support.protocols import RunHost
from tests.support.saving import save

CODE = """
import time
from pathlib import Path

from agenthost import JobContext, JobProcess

VERSION = 1
{at_import}

def prewarm(proc: JobProcess) -> None:
    {in_prewarm}


async def handle(req) -> None:
    await req.accept()


async def entrypoint(ctx: JobContext) -> None:
    Path(f"ran-{{ctx.room.name}}").write_text(str(VERSION))
"""
GOOD = CODE.format(at_import="", in_prewarm="pass")
HANGS = "Path('hangs').touch(); time.sleep(600)"
HANGING_PREWARM = CODE.format(at_import="", in_prewarm=HANGS)
HANGING_IMPORT = CODE.format(at_import=HANGS, in_prewarm="pass")

YAML = """
version: 1
agent_name: a
entrypoint: my_agent:entrypoint
prewarm: my_agent:prewarm
num_idle_processes: 1
http: { listen: "127.0.0.1:0" }
load: { max_jobs: 50 }
limits: { init: 10m }     # only another edit can end what hangs
reload: { watch: [config, code] }
"""
WITH_HANDLER = YAML + "requests: { handler: my_agent:handle }\n"
PROCESSES = len(["host", "base", "template", "idle process"])


class Interrupted:
    """A running host, and its project's files."""

    def __init__(self, host: HostProcess, folder: Path, server: FakeLiveKitServer) -> None:
        self.host = host
        self.folder = folder
        self.server = server

    def save(self, code: str, version: int = 1, *, module: str = "my_agent") -> None:
        save(self.folder / f"{module}.py", code.replace("VERSION = 1", f"VERSION = {version}"))

    async def wait_hanging(self) -> None:
        """Until the edited code hangs."""
        await poll((self.folder / "hangs").exists, timeout=15, what="the new code was never tried")

    async def job(self) -> str:
        """The version of the code that a new job runs."""
        room = uuid.uuid4().hex
        result = await self.server.offer(room, agent_name="a")
        assert result.outcome is OfferOutcome.ASSIGNED, result
        await self.host.wait_event("job ended", job_id=result.job_id)
        return (self.folder / f"ran-{room}").read_text()

    async def wait_processes(self, count: int = PROCESSES) -> None:
        """Until there are only so many processes."""
        await poll(lambda: len(self.host.survivors()) == count, timeout=15, what="processes of the first try stay")


@pytest.fixture(params=[YAML, WITH_HANDLER], ids=["", "with handler"])
def yaml(request: pytest.FixtureRequest) -> str:
    text: str = request.param
    return text


@pytest.fixture
async def interrupted(run_host: RunHost, tmp_path: Path, fake_server: FakeLiveKitServer, yaml: str) -> Interrupted:
    host = await run_host(write_agent(tmp_path, GOOD, yaml), "--log-level=DEBUG", server=fake_server)
    await host.wait_event("host started")
    found = Interrupted(host, tmp_path, fake_server)
    assert await found.job() == "1"
    return found


@pytest.mark.parametrize("code", [HANGING_PREWARM, HANGING_IMPORT], ids=["prewarm", "import"])
async def test_edit_behind_code_that_hangs_is_live_at_once(interrupted: Interrupted, code: str, yaml: str) -> None:
    """It does not wait for `limits.init`; the old code serves meanwhile, and the first try leaves nothing."""
    interrupted.save(code, 2)
    await interrupted.wait_hanging()
    assert await interrupted.job() == "1"
    interrupted.save(GOOD, 3)
    await interrupted.host.wait_event("reloaded")
    assert await interrupted.job() == "3"
    host = interrupted.host
    assert (len(host.events("reload begins anew")), host.events("reload failed")) == (1, [])
    assert len(host.events("change applied")) == 1
    await interrupted.wait_processes(PROCESSES + (yaml is WITH_HANDLER))


@pytest.mark.parametrize("yaml", [YAML])
async def test_new_module_that_hangs_can_be_mended_while_it_does(interrupted: Interrupted) -> None:
    """What was never imported is not known; while a reload takes long, all code in the folder counts."""
    interrupted.save("from pathlib import Path; import time\n" + HANGS, module="voice")
    interrupted.save("import voice\n" + GOOD, 2)
    await interrupted.host.wait_event("reload is preparing")
    interrupted.save("", module="voice")
    await interrupted.host.wait_event("reloaded")
    assert await interrupted.job() == "2"


@pytest.mark.parametrize("yaml", [YAML])
async def test_draining_gives_up_what_is_only_prepared(interrupted: Interrupted) -> None:
    """A host that is told to end does not wait for code that hangs."""
    interrupted.save(HANGING_PREWARM, 2)
    await interrupted.wait_hanging()
    interrupted.host.signal(signal.SIGTERM)
    assert await interrupted.host.exit_code() == 0
    assert not interrupted.host.events("reloaded")
    assert await interrupted.host.wait_no_survivors() == []


@pytest.mark.parametrize("yaml", [YAML])
async def test_reloads_without_end_are_no_reason_never_to_finish_one(interrupted: Interrupted) -> None:
    """Something that has it reload all the time is not able to keep new code away."""
    interrupted.save(CODE.format(at_import="", in_prewarm="time.sleep(0.3)"), 2)
    host = interrupted.host
    wanted = len(host.events("reload wanted"))

    def reloaded() -> bool:
        nonlocal wanted
        if len(host.events("reload wanted")) > wanted:  # each interrupts the one before
            wanted += 1
            host.signal(signal.SIGHUP)
        return bool(host.events("change applied"))

    host.signal(signal.SIGHUP)
    await poll(reloaded, timeout=30, what="the new code never came")
    assert host.events("reload begins anew")
    assert psutil.pid_exists(host.pid)
