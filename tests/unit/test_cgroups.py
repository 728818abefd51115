"""Which cgroups this process is in and what they tell, read from faked trees of kernel files."""

from pathlib import Path

import pytest

from agenthost.cgroups import dies_as_one, memory_limit, oom_kill_count, own_cgroup, parse_count, read_entry


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


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


def test_limit_is_that_of_the_nearest_group_that_has_one(tmp_path: Path) -> None:
    """Both versions; `max`, and what version 1 writes for it, is none."""
    write(tmp_path / "proc/meminfo", "MemTotal: 8388608 kB\n")
    write(tmp_path / "proc/self/cgroup", "0::/pod/agenthost\n")
    write(tmp_path / "sys/fs/cgroup/pod/agenthost/memory.max", "max\n")
    assert memory_limit(tmp_path) is None
    write(tmp_path / "sys/fs/cgroup/pod/memory.max", f"{1 << 30}\n")
    limit = memory_limit(tmp_path)
    assert limit is not None
    assert (limit.version, limit.folder.name, limit.bytes) == (2, "pod", 1 << 30)
    write(tmp_path / "proc/self/cgroup", "4:memory:/docker/abc\n0::/pod/agenthost\n")
    write(tmp_path / "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "9223372036854771712\n")
    assert memory_limit(tmp_path) is None
    write(tmp_path / "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", f"{1 << 29}\n")
    limit = memory_limit(tmp_path)
    assert limit is not None
    assert (limit.version, limit.folder.name, limit.bytes) == (1, "abc", 1 << 29)


@pytest.mark.parametrize(("own", "above", "as_one"), [("0", "0", False), ("1", "0", True), ("0", "1", True)])
def test_group_that_is_killed_as_a_whole_is_known(tmp_path: Path, own: str, above: str, as_one: bool) -> None:
    """Version 2 only, for the group itself or one above it: what Kubernetes sets for a container."""
    write(tmp_path / "proc/self/cgroup", "0::/pod/agenthost\n")
    write(tmp_path / "sys/fs/cgroup/pod/agenthost/memory.oom.group", f"{own}\n")
    write(tmp_path / "sys/fs/cgroup/pod/memory.oom.group", f"{above}\n")
    assert dies_as_one(tmp_path) is as_one
    write(tmp_path / "proc/self/cgroup", "4:memory:/pod/agenthost\n")
    assert not dies_as_one(tmp_path)
