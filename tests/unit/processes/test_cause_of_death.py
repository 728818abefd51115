"""What is said of a process that ended, and what the cgroup tells of it."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from agenthost.processes.cause_of_death import explain_exit, oom_kill_count, own_cgroup, parse_count, read_entry
from agenthost.processes.reaper import ExitStatus

MIB = 1 << 20
KILLED = ExitStatus(None, signal.SIGKILL, 512 * MIB)


def explain(
    status: ExitStatus | None, *, before: int | None = 0, after: int | None = 0, killed_because: str = ""
) -> str:
    return explain_exit(status, oom_kills_before=before, oom_kills_after=after, killed_because=killed_because)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_exit_code_is_named() -> None:
    """The process left by itself."""
    assert explain(ExitStatus(3)) == "exit code 3"


def test_signal_is_named() -> None:
    """A number says little to most."""
    assert explain(ExitStatus(None, signal.SIGSEGV, 512 * MIB)) == "killed by signal SIGSEGV"


def test_signal_without_name_is_a_number() -> None:
    """Real-time signals have none."""
    assert explain(ExitStatus(None, signal.SIGRTMIN + 3)) == f"killed by signal {signal.SIGRTMIN + 3}"


def test_kill_while_the_cgroup_counts_one_more_is_out_of_memory() -> None:
    """The kernel's own count is the proof; how large the process was helps to set a limit."""
    assert explain(KILLED, before=2, after=3) == (
        "killed by signal SIGKILL (out of memory: the kernel's OOM killer took it, 512 MiB resident)"
    )


@pytest.mark.parametrize(("before", "after"), [(2, 2), (None, None), (None, 1), (1, None), (3, 0)])
def test_kill_without_proof_is_a_hint(before: int | None, after: int | None) -> None:
    """No count, or none that rose: both usual causes are named, none is claimed."""
    assert explain(KILLED, before=before, after=after) == (
        "killed by signal SIGKILL (maybe out of memory, or an operator, 512 MiB resident)"
    )


def test_unknown_size_is_not_mentioned() -> None:
    """0 means unknown, not small."""
    assert explain(ExitStatus(None, signal.SIGKILL)) == "killed by signal SIGKILL (maybe out of memory, or an operator)"


def test_kill_by_the_host_says_why() -> None:
    """Our own reason goes before any guess, also while others run out of memory."""
    assert explain(KILLED, after=1, killed_because="did not end within 10 s") == (
        "killed by signal SIGKILL (by the host: did not end within 10 s)"
    )


@pytest.mark.parametrize("status", [ExitStatus(3), ExitStatus(None, signal.SIGSEGV)])
def test_process_that_died_of_itself_before_the_kill_reached_it_keeps_its_cause(status: ExitStatus) -> None:
    """The host's reason explains a SIGKILL and nothing else; neither does the OOM killer send another signal."""
    assert "host" not in explain(status, killed_because="did not end within 10 s")
    assert "memory" not in explain(status, after=1)


def test_process_that_never_was_says_so() -> None:
    """There is no status where the fork was refused."""
    assert explain(None, after=1, killed_because="late") == "it was never started"


def test_really_killed_process_is_explained() -> None:
    """With the status that the kernel gives."""
    pid = os.posix_spawn(shutil.which("sleep") or "", ["sleep", "60"], {})
    os.kill(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert explain(ExitStatus(None, -code)).startswith("killed by signal SIGKILL (maybe")


def test_version_2_counts_kills_in_memory_events(tmp_path: Path) -> None:
    """`oom` counts attempts and `oom_group_kill` groups; only `oom_kill` counts processes."""
    write(tmp_path / "proc/self/cgroup", "0::/system.slice/agenthost.service\n")
    write(
        tmp_path / "sys/fs/cgroup/system.slice/agenthost.service/memory.events",
        "low 0\nhigh 0\nmax 31\noom 9\noom_kill 4\noom_group_kill 7\n",
    )
    assert oom_kill_count(tmp_path) == 4


def test_version_1_counts_kills_in_oom_control(tmp_path: Path) -> None:
    """The controller's own line in /proc names the group."""
    write(tmp_path / "proc/self/cgroup", "5:memory:/docker/abc\n1:name=systemd:/docker/abc\n0::/docker/abc\n")
    write(
        tmp_path / "sys/fs/cgroup/memory/docker/abc/memory.oom_control",
        "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    )
    assert oom_kill_count(tmp_path) == 2


def test_nearest_group_that_counts_is_asked(tmp_path: Path) -> None:
    """Below a group without the memory controller, the one above has the count."""
    write(tmp_path / "proc/self/cgroup", "0::/a/b\n")
    (tmp_path / "sys/fs/cgroup/a/b").mkdir(parents=True)
    write(tmp_path / "sys/fs/cgroup/a/memory.events", "oom_kill 1\n")
    write(tmp_path / "sys/fs/cgroup/memory.events", "oom_kill 8\n")
    assert oom_kill_count(tmp_path) == 1


@pytest.mark.parametrize("text", ["", "oom_kill\n", "oom_kill many\n", "oom_kill -1\n", "under_oom 0\n"])
def test_count_that_cannot_be_read_is_unknown(tmp_path: Path, text: str) -> None:
    """Kernels before 4.13 do not count; unknown is not zero."""
    write(tmp_path / "proc/self/cgroup", "0::/\n")
    write(tmp_path / "sys/fs/cgroup/memory.events", text)
    assert oom_kill_count(tmp_path) is None


def test_without_cgroups_the_count_is_unknown(tmp_path: Path) -> None:
    """macOS, or a machine without the controller."""
    assert oom_kill_count(tmp_path) is None
    write(tmp_path / "proc/self/cgroup", "1:name=systemd:/\n")
    assert oom_kill_count(tmp_path) is None
    write(tmp_path / "proc/self/cgroup", "7:memory:/\n")
    assert oom_kill_count(tmp_path) is None


def test_group_named_from_outside_is_found_at_the_mount(tmp_path: Path) -> None:
    """A container sees the name its group has outside, and its own group as the top of the mount."""
    write(tmp_path / "proc/self/cgroup", "4:memory:/docker/abc\n")
    write(tmp_path / "sys/fs/cgroup/memory/memory.oom_control", "oom_kill 6\n")
    assert oom_kill_count(tmp_path) == 6


def test_group_outside_of_the_namespace_does_not_lead_out_of_the_mount(tmp_path: Path) -> None:
    """/proc writes `/../x` for a group that is not below the namespace's top."""
    write(tmp_path / "proc/self/cgroup", "0::/../x\n")
    write(tmp_path / "sys/fs/x/memory.events", "oom_kill 9\n")
    write(tmp_path / "sys/fs/cgroup/memory.events", "oom_kill 6\n")
    assert oom_kill_count(tmp_path) == 6


def test_version_2_beside_version_1_is_found_where_it_is_mounted(tmp_path: Path) -> None:
    """Mixed systems mount version 2 in a folder of its own; the controllers that version 1 names stay with it."""
    write(tmp_path / "proc/self/cgroup", "3:cpu,cpuacct:/job\n0::/unit\n")
    (tmp_path / "sys/fs/cgroup/unified/unit").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/cpu,cpuacct/job").mkdir(parents=True)
    memory, cpu = own_cgroup("memory", tmp_path), own_cgroup("cpu", tmp_path)
    assert memory is not None
    assert cpu is not None
    assert (memory.version, memory.folders[0]) == (2, tmp_path / "sys/fs/cgroup/unified/unit")
    assert (cpu.version, cpu.folders[0]) == (1, tmp_path / "sys/fs/cgroup/cpu,cpuacct/job")


def test_folders_lead_from_the_own_group_to_the_mount(tmp_path: Path) -> None:
    """Nearest first; nothing above the mount."""
    write(tmp_path / "proc/self/cgroup", "0::/a/b\n")
    top = tmp_path / "sys/fs/cgroup"
    (top / "a/b").mkdir(parents=True)
    group = own_cgroup("memory", tmp_path)
    assert group is not None
    assert group.folders == (top / "a/b", top / "a", top)


@pytest.mark.parametrize(
    ("word", "value"),
    [("0", 0), ("12", 12), ("max", None), ("-1", None), ("1.5", None), ("١", None), ("9" * 5000, None), ("", None)],
)
def test_only_digits_of_a_possible_size_are_a_count(word: str, value: int | None) -> None:
    """What a kernel would never write is not trusted."""
    assert parse_count(word) == value
    assert parse_count(str(2**64)) is None
    assert parse_count(str(2**64 - 1)) == 2**64 - 1


def test_names_of_entries_are_compared_whole(tmp_path: Path) -> None:
    """`inactive_file` is not found in `total_inactive_file`; a colon belongs to no name."""
    write(tmp_path / "stat", "total_inactive_file 7\ninactive_file 5\nMemTotal:  16 kB\n\xff\n")
    assert read_entry(tmp_path / "stat", "inactive_file") == 5
    assert read_entry(tmp_path / "stat", "MemTotal") == 16
    assert read_entry(tmp_path / "stat", "Mem") is None
