"""The host's end of a template; the test plays the process behind it."""

import asyncio
import itertools
import os

import pytest

from agenthost.errors import ProcessFailed
from agenthost.ipc.messages import (
    PACKET_BYTES,
    CodeSpec,
    Forked,
    ForkProcess,
    ForkRefused,
    InitFailed,
    Leave,
    ModulesLoaded,
    TemplateReady,
    TemplateSpec,
)
from agenthost.processes import templates
from agenthost.processes.child_process import InitFailure, TemplateGone
from agenthost.processes.home import ProcessHome
from agenthost.processes.templates import UNDER_WAY, fork_template, wait_ready
from tests.unit.processes.conftest import MakeEnds, MakePeer, TemplatePeer

SPEC = TemplateSpec(agent="a", env={}, working_dir="/", path=(), code=CodeSpec(entrypoint="a:b"))


def request(number: int = 1, *, bytes_: int = 0) -> ForkProcess:
    code = CodeSpec(entrypoint="a:b", functions=b"x" * bytes_)
    return ForkProcess(number=number, kind="job", code=code)


class Process:
    """A process that is asked for: `pid` once it was adopted, `error` once it was refused."""

    def __init__(self) -> None:
        self.started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.error: ProcessFailed | None = None
        self._settled = asyncio.Event()

    def adopt(self, pid: int) -> None:
        self.started.set_result(pid)
        self._settled.set()

    def refuse(self, error: ProcessFailed) -> None:
        self.error = error
        self._settled.set()

    async def settled(self) -> None:
        async with asyncio.timeout(5):
            await self._settled.wait()


async def test_request_arrives_with_its_four_descriptors(peer: MakePeer, make_ends: MakeEnds) -> None:
    """What the process is to have travels with the request; the host keeps no copy of it."""
    template = peer()
    ends = make_ends()
    template.host.fork(request(7), ends, Process())
    message, received = await template.receive()
    assert isinstance(message, ForkProcess)
    assert (message.number, len(received)) == (7, 4)
    os.write(received[1], b"hello")
    assert os.read(ends.stdout, 5) == b"hello"
    for descriptor in received:
        os.close(descriptor)
    assert os.read(ends.stdout, 5) == b"", "somebody still holds the writing end"


async def test_refusal_of_the_template_reaches_who_asked(peer: MakePeer, make_ends: MakeEnds) -> None:
    """With the reason, and only the one that was refused."""
    template = peer()
    first, second = Process(), Process()
    for number, process in ((1, first), (2, second)):
        template.host.fork(request(number), make_ends(), process)
    template.say(Forked(number=1))
    template.say(ForkRefused(number=2, reason="no memory"))
    await second.settled()
    assert str(second.error) == "no memory"
    assert first.error is None


async def test_process_is_adopted_by_the_pid_that_the_template_names(peer: MakePeer, make_ends: MakeEnds) -> None:
    """Its own Hello comes later; where the template does not know the pid, it is what adopts the process."""
    template = peer()
    named, unnamed = Process(), Process()
    template.host.fork(request(1), make_ends(), unnamed)
    template.host.fork(request(2), make_ends(), named)
    template.say(Forked(number=1))
    template.say(Forked(number=2, pid=4711))
    async with asyncio.timeout(5):
        assert await named.started == 4711
    assert not unnamed.started.done()


async def test_request_too_large_for_a_packet_is_refused_at_once(peer: MakePeer, make_ends: MakeEnds) -> None:
    """Nothing is sent, and its ends are closed."""
    template = peer()
    ends = make_ends()
    process = Process()
    template.host.fork(request(bytes_=PACKET_BYTES), ends, process)
    assert "too large" in str(process.error)
    assert os.read(ends.stdout, 1) == b"", "somebody still holds the writing end"


async def test_request_of_nearly_a_packet_is_sent(peer: MakePeer, make_ends: MakeEnds) -> None:
    """The socket's buffer has room for it."""
    template = peer()
    template.host.fork(request(bytes_=PACKET_BYTES - 1000), make_ends(), Process())
    message, received = await template.receive()
    assert isinstance(message, ForkProcess)
    for descriptor in received:
        os.close(descriptor)


async def test_death_is_noticed_by_the_socket(peer: MakePeer, make_ends: MakeEnds) -> None:
    """Who waits for the report hears it; who asks afterwards is refused."""
    template = peer()
    template.die()
    with pytest.raises(TemplateGone):
        await template.host.ready
    assert template.host.dead.done()
    process = Process()
    template.host.fork(request(), make_ends(), process)
    assert isinstance(process.error, TemplateGone)


async def test_modules_of_a_large_program_come_in_pieces(peer: MakePeer) -> None:
    """The report that ends them has them all, in order."""
    template = peer()
    for modules in (("a.py", "b.py"), ("c.py",)):
        template.say(ModulesLoaded(modules=modules))
    template.say(TemplateReady(pid=1, import_seconds=0.1))
    assert (await template.host.ready).modules == ("a.py", "b.py", "c.py")


async def test_failure_of_user_code_is_told_to_who_waits(peer: MakePeer) -> None:
    """And the template is let go."""
    template = peer()
    template.say(InitFailed(phase="import", error="KeyError", message="KeyError: 'X'", file="a.py", line=3))
    with pytest.raises(InitFailure, match=r"import failed: KeyError: KeyError: 'X' \(a.py:3\)"):
        await wait_ready(template.host, seconds=5, what="the import took too long")
    assert template.host.dead.done()


async def test_report_that_does_not_come_ends_the_template(peer: MakePeer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is in the error."""
    monkeypatch.setattr(templates, "_DUMP_SECONDS", 0.0)
    template = peer()
    with pytest.raises(ProcessFailed, match=r"the import took too long \(0.01 s\)"):
        await wait_ready(template.host, seconds=0.01, what="the import took too long")
    assert template.host.dead.done()


async def test_waiting_that_is_given_up_ends_the_template(peer: MakePeer) -> None:
    """Nobody else knows of it, so it would stay for ever."""
    template = peer()
    waiting = asyncio.create_task(wait_ready(template.host, seconds=5, what="the import took too long"))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert template.host.dead.done()


async def test_silent_template_that_owes_a_process_is_ended(
    peer: MakePeer, make_ends: MakeEnds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that owes nothing may be silent."""
    monkeypatch.setattr(templates, "HANG_SECONDS", 0.02)
    monkeypatch.setattr(templates, "_DUMP_SECONDS", 0.0)
    idle, silent = peer("idle"), peer("silent")
    silent.host.fork(request(1), make_ends(), Process())
    async with asyncio.timeout(5):
        assert await silent.host.dead == "killed"
    assert not idle.host.dead.done()


async def test_sign_of_life_starts_the_count_anew(
    peer: MakePeer, make_ends: MakeEnds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first count would take an hour; the one from its answer on is over at once."""
    monkeypatch.setattr(templates, "HANG_SECONDS", 3600.0)
    monkeypatch.setattr(templates, "_DUMP_SECONDS", 0.0)
    slow = peer("slow")
    for number in (1, 2):
        slow.host.fork(request(number), make_ends(), Process())
    monkeypatch.setattr(templates, "HANG_SECONDS", 0.02)
    slow.say(Forked(number=1))
    async with asyncio.timeout(5):
        assert await slow.host.dead == "killed"


async def test_template_that_never_answers_is_ended_however_often_it_is_asked(
    peer: MakePeer, make_ends: MakeEnds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Offers that keep coming are no sign of its life."""
    monkeypatch.setattr(templates, "HANG_SECONDS", 0.1)
    monkeypatch.setattr(templates, "_DUMP_SECONDS", 0.0)
    template = peer()
    async with asyncio.timeout(10):
        for number in itertools.count(1):
            if template.host.dead.done():
                break
            template.host.fork(request(number), make_ends(), Process())
            await asyncio.sleep(0.01)


async def test_requests_wait_here_until_the_template_has_answered_others(peer: MakePeer, make_ends: MakeEnds) -> None:
    """It is never sent more than a few ahead, and all arrive in their order."""
    template = peer()
    for number in range(UNDER_WAY + 2):
        template.host.fork(request(number), make_ends(), Process())
    assert [await number_of_next(template) for _ in range(UNDER_WAY)] == list(range(UNDER_WAY))
    assert not template.has_mail()
    template.say(Forked(number=0))
    assert await number_of_next(template) == UNDER_WAY
    template.say(ForkRefused(number=1, reason="no memory"))
    assert await number_of_next(template) == UNDER_WAY + 1


async def test_process_that_nobody_wants_any_more_is_not_asked_for(peer: MakePeer, make_ends: MakeEnds) -> None:
    """Its offer was given up while others were served: the template makes those that are still waited for."""
    template = peer()
    ends = [make_ends() for _ in range(UNDER_WAY + 3)]
    processes = [Process() for _ in ends]
    for number, (each, process) in enumerate(zip(ends, processes, strict=True)):
        template.host.fork(request(number), each, process)
    for _ in range(UNDER_WAY):
        await number_of_next(template)
    for number in (0, UNDER_WAY, UNDER_WAY + 1):
        processes[number].started.set_exception(ProcessFailed("it was not needed any more"))
        processes[number].started.exception()
    template.say(Forked(number=0, pid=os.getpid()))
    assert await number_of_next(template) == UNDER_WAY + 2
    assert os.read(ends[UNDER_WAY].stdout, 1) == b"", "somebody still holds the writing end"


async def number_of_next(template: TemplatePeer) -> int:
    message, received = await template.receive()
    for descriptor in received:
        os.close(descriptor)
    assert isinstance(message, ForkProcess)
    return message.number


async def test_closed_template_is_told_to_leave(peer: MakePeer) -> None:
    """Otherwise it would take the end of its socket for the host's death."""
    template = peer()
    template.say(TemplateReady(pid=1, import_seconds=0.1))
    await template.host.ready
    template.host.close()
    assert await template.receive() == (Leave(), [])


async def test_template_that_the_base_did_not_make_can_be_asked_for_again(peer: MakePeer, home: ProcessHome) -> None:
    """Its base died first: TemplateGone, which says that the next base will do."""
    base = peer("")
    template = fork_template(base.host, SPEC, home)
    message, received = await base.receive()
    assert isinstance(message, ForkProcess) and message.kind == "template"
    for descriptor in received:
        os.close(descriptor)
    with pytest.raises(TemplateGone):
        await template.ready
    await template.silent()


async def test_template_that_the_base_refused_says_why(peer: MakePeer, home: ProcessHome) -> None:
    """EAGAIN, or a thread."""
    base = peer("")
    template = fork_template(base.host, SPEC, home)
    message, received = await base.receive()
    assert isinstance(message, ForkProcess)
    base.say(ForkRefused(number=message.number, reason="no memory"))
    for descriptor in received:
        os.close(descriptor)
    with pytest.raises(ProcessFailed):
        await template.ready
    await template.silent()
