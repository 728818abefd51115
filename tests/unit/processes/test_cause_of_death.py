"""What is said of a process that ended, and whom the kernel is said to have taken."""

import os
import shutil
import signal

import pytest

from agenthost.processes.cause_of_death import CLAIM_SECONDS, OomWatch, explain_exit
from agenthost.processes.reaper import ExitStatus

MIB = 1 << 20
KILLED = ExitStatus(None, signal.SIGKILL, 512 * MIB)


class Machine:
    """A cgroup that counts kills, or does not (None), and a clock."""

    def __init__(self, kills: int | None = 0) -> None:
        self.kills = kills
        self.now = 1000.0
        self.watch = OomWatch(lambda: self.kills, lambda: self.now)

    def took(self) -> bool:
        """Whether a process that is found dead by SIGKILL now is said to have been taken."""
        return "took it" in self.watch.explain(KILLED)


def test_exit_code_is_named() -> None:
    """The process left by itself."""
    assert explain_exit(ExitStatus(3)) == "exit code 3"


def test_signal_is_named() -> None:
    """A number says little to most."""
    assert explain_exit(ExitStatus(None, signal.SIGSEGV, 512 * MIB)) == "killed by signal SIGSEGV"


def test_signal_without_name_is_a_number() -> None:
    """Real-time signals have none."""
    assert explain_exit(ExitStatus(None, signal.SIGRTMIN + 3)) == f"killed by signal {signal.SIGRTMIN + 3}"


def test_kill_of_the_oom_killer_is_named() -> None:
    """How large the process was helps to set a limit."""
    assert explain_exit(KILLED, out_of_memory=True) == (
        "killed by signal SIGKILL (out of memory: the kernel's OOM killer took it, 512 MiB resident)"
    )


def test_kill_without_proof_is_a_hint() -> None:
    """Both usual causes are named, none is claimed."""
    assert explain_exit(KILLED) == "killed by signal SIGKILL (maybe out of memory, or an operator, 512 MiB resident)"


def test_unknown_size_is_not_mentioned() -> None:
    """0 means unknown, not small."""
    assert (
        explain_exit(ExitStatus(None, signal.SIGKILL))
        == "killed by signal SIGKILL (maybe out of memory, or an operator)"
    )


def test_kill_by_the_host_says_why() -> None:
    """Our own reason goes before any guess, also while others run out of memory."""
    assert explain_exit(KILLED, out_of_memory=True, killed_because="did not end within 10 s") == (
        "killed by signal SIGKILL (by the host: did not end within 10 s)"
    )


@pytest.mark.parametrize("status", [ExitStatus(3), ExitStatus(None, signal.SIGSEGV)])
def test_process_that_died_of_itself_before_the_kill_reached_it_keeps_its_cause(status: ExitStatus) -> None:
    """The host's reason explains a SIGKILL and nothing else; neither does the OOM killer send another signal."""
    assert "host" not in explain_exit(status, killed_because="did not end within 10 s")
    assert "memory" not in explain_exit(status, out_of_memory=True)


def test_process_that_never_was_says_so() -> None:
    """There is no status where the fork was refused."""
    assert explain_exit(None, out_of_memory=True, killed_because="late") == "it was never started"


def test_really_killed_process_is_explained() -> None:
    """With the status that the kernel gives."""
    pid = os.posix_spawn(shutil.which("sleep") or "", ["sleep", "60"], {})
    os.kill(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert explain_exit(ExitStatus(None, -code)).startswith("killed by signal SIGKILL (maybe")


def test_as_many_are_taken_as_the_cgroup_counts() -> None:
    """Two at once are both explained, whoever is found dead first; a third is an operator's doing."""
    machine = Machine(kills=7)
    assert not machine.took()
    machine.kills = 9
    assert [machine.took() for _ in range(3)] == [True, True, False]


def test_kill_of_a_stranger_explains_no_later_death() -> None:
    """The kernel took a program that user code had started; the job that somebody kills afterwards was not taken."""
    machine = Machine()
    machine.kills = 1
    machine.watch.look()
    machine.now += CLAIM_SECONDS
    assert not machine.took()
    machine.kills = 2
    machine.watch.look()
    machine.now += CLAIM_SECONDS - 1
    assert machine.took()


def test_other_ends_use_up_no_kill() -> None:
    """Neither an exit code, nor another signal, nor a kill of our own."""
    machine = Machine()
    machine.kills = 1
    machine.watch.explain(ExitStatus(1))
    machine.watch.explain(ExitStatus(None, signal.SIGSEGV))
    machine.watch.explain(KILLED, killed_because="did not end within 10 s")
    machine.watch.explain(None)
    assert machine.took()


@pytest.mark.parametrize("counts", [(None, None), (None, 1), (1, None), (3, 0)])
def test_count_that_says_nothing_claims_nothing(counts: tuple[int | None, int | None]) -> None:
    """No cgroup, one that comes or goes, one that was replaced."""
    before, after = counts
    machine = Machine(before)
    machine.kills = after
    assert not machine.took()


def test_count_that_was_away_goes_on() -> None:
    """A kernel file that could not be read once loses no kill."""
    machine = Machine(1)
    machine.kills = None
    machine.watch.look()
    machine.kills = 2
    assert machine.took()
