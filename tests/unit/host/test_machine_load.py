"""How much of what the host may use is used, read from faked trees of kernel files."""

import os
import sys
import threading
import time
from pathlib import Path

import pytest

from agenthost.cgroups import memory_limit
from agenthost.host.brake import Brake
from agenthost.host.machine_load import MachineLoad, MachineSampler

GIB = 1 << 30
TICKS = os.sysconf("SC_CLK_TCK")


class Bare:
    """A machine of four cpus and 8 GiB without cgroups. `burn` and `hold` are what its programs use."""

    cpus = 4.0
    memory = 8 * GIB

    def __init__(self, root: Path) -> None:
        self.root = root
        self.burnt = 1000.0
        self.write("proc/self/cgroup", "")
        self.write("proc/self/status", "Name:\tpython\nCpus_allowed:\tff\nCpus_allowed_list:\t0-7\n")
        self.write("sys/devices/system/cpu/online", "0-3\n")
        self.cpu_time(1000.0)
        self.available(8 * GIB)
        self.burn(0.0)
        self.hold(0)

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def cpu_time(self, *seconds: float, waited: float = 0.0) -> None:
        """Seconds that each of the machine's cpus was busy, or all of them, and that it waited for a disk."""
        ticks = [int(each * TICKS) for each in (seconds if len(seconds) == 4 else seconds * 4)]
        rest = f"0 0 9000 {int(waited * TICKS)} 0 0 0"
        lines = [f"cpu{number} {each} {rest} {each} 0" for number, each in enumerate(ticks)]
        self.write("proc/stat", "\n".join([f"cpu  {sum(ticks)} {rest} 0 0", *lines, "intr 5 4", ""]))

    def available(self, free: int) -> None:
        """Bytes of the machine's 8 GiB that could be had."""
        self.write("proc/meminfo", f"MemTotal: {8 * GIB // 1024} kB\nMemAvailable: {free // 1024} kB\n")

    def burn(self, seconds: float) -> None:
        """So many cpu seconds more; a negative number is a counter that goes back."""
        self.burnt += seconds
        self.cpu_time(self.burnt / 4)

    def hold(self, used: int) -> None:
        self.available(8 * GIB - used)


class Version2(Bare):
    """A container of version 2 on that machine: two cpus, 1 GiB, and 100 MiB of files it read once."""

    cpus = 2.0
    memory = GIB
    group = "sys/fs/cgroup/pod/agenthost"

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.write("proc/self/cgroup", "0::/pod/agenthost\n")
        self.write(f"{self.group}/cpu.max", "200000 100000\n")
        self.write(f"{self.group}/memory.max", f"{GIB}\n")

    def burn(self, seconds: float) -> None:
        self.burnt += seconds
        self.write(f"{self.group}/cpu.stat", f"usage_usec {int(self.burnt * 1e6)}\nuser_usec 1\nnr_periods 5\n")

    def hold(self, used: int) -> None:
        self.write(f"{self.group}/memory.current", f"{used + (100 << 20)}\n")
        self.write(f"{self.group}/memory.stat", f"anon 1\nactive_file 5\ninactive_file {100 << 20}\n")


class Version1(Bare):
    """The same container of version 1, with cpu and cpuacct in one mount."""

    cpus = 2.0
    memory = GIB
    group = "sys/fs/cgroup/cpu,cpuacct/docker/abc"
    memory_group = "sys/fs/cgroup/memory/docker/abc"

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.write("proc/self/cgroup", "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n")
        self.write(f"{self.group}/cpu.cfs_quota_us", "200000\n")
        self.write(f"{self.group}/cpu.cfs_period_us", "100000\n")
        self.write(f"{self.memory_group}/memory.limit_in_bytes", f"{GIB}\n")

    def burn(self, seconds: float) -> None:
        self.burnt += seconds
        self.write(f"{self.group}/cpuacct.usage", f"{int(self.burnt * 1e9)}\n")

    def hold(self, used: int) -> None:
        self.write(f"{self.memory_group}/memory.usage_in_bytes", f"{used + (100 << 20)}\n")
        self.write(f"{self.memory_group}/memory.stat", f"inactive_file 0\ntotal_inactive_file {100 << 20}\n")


Machine = Bare | Version1 | Version2


@pytest.fixture(params=[Bare, Version1, Version2], ids=["no cgroup", "version 1", "version 2"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    made: Machine = request.param(tmp_path)
    return made


class Run:
    """A sampler that is asked once a second while the machine is kept busy."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.sampler = MachineSampler(machine.root, linux=True)
        self.now = 5000.0
        self.last = self.sampler.sample(self.now)

    def second(self, ratio: float) -> MachineLoad:
        self.machine.burn(ratio * self.machine.cpus)
        self.now += 1.0
        self.last = self.sampler.sample(self.now)
        return self.last

    def seconds(self, *ratios: float) -> list[float | None]:
        return [self.second(ratio).cpu for ratio in ratios]


def test_cpu_is_the_share_of_what_the_host_may_use(machine: Machine) -> None:
    """Of the quota where there is one, else of the machine; averaged over five seconds."""
    run = Run(machine)
    assert run.seconds(*[0.6] * 5)[-1] == pytest.approx(0.6, abs=0.01)
    assert run.seconds(0.1)[-1] == pytest.approx(0.5, abs=0.01)
    assert run.seconds(*[0.1] * 4)[-1] == pytest.approx(0.1, abs=0.01)


def test_memory_is_what_cannot_be_given_back(machine: Machine) -> None:
    """Files that were read once are no load; five seconds are averaged."""
    machine.hold(machine.memory // 2)
    run = Run(machine)
    assert run.last.memory == pytest.approx(0.5, abs=0.01)
    machine.hold(machine.memory)
    assert run.second(0.0).memory == pytest.approx(0.75, abs=0.01)
    run.seconds(0, 0, 0, 0)
    assert run.last.memory == pytest.approx(1.0, abs=0.01)


def test_time_before_the_first_sample_counts_as_idle(machine: Machine) -> None:
    """The imports of its own start do not make the host full."""
    run = Run(machine)
    assert run.last.cpu == 0.0
    assert run.seconds(1.0, 1.0) == pytest.approx([0.2, 0.4], abs=0.01)


def test_misreadings_never_make_full_nor_leave_the_range(machine: Machine) -> None:
    """A counter that goes back, one that jumps, a busy second, a file that is gone: load stays in 0..1, never FULL."""
    run = Run(machine)
    brake = Brake()
    memory_brake = Brake()
    files = [path for path in machine.root.rglob("*") if path.is_file()]
    for second in range(40):
        machine.hold(machine.memory * 3 if second == 22 else machine.memory // 2)
        kept = {path: path.read_bytes() for path in files}
        match second:
            case 7:
                machine.burn(-900.0)
            case 14:
                machine.burn(1e9)
            case 26:
                for path in files:
                    path.unlink()
            case 32:
                for path in files:
                    path.write_bytes(b"\xff not a number \x00\n")
        if second in (26, 32):
            run.now += 1.0
            load = run.sampler.sample(run.now)
            for path, content in kept.items():
                path.write_bytes(content)
        else:
            load = run.second(1.0 if second == 20 else 0.55)
        assert load.cpu is not None
        assert load.memory is not None
        assert 0.0 <= load.cpu <= 1.0
        assert 0.0 <= load.memory <= 1.0
        assert not brake.update(load.cpu / 0.7, run.now)
        assert not memory_brake.update(load.memory / 0.85, run.now)


@pytest.mark.parametrize("jump", [-900.0, 1e9], ids=["back", "forward"])
def test_counter_that_jumps_leaves_the_average_alone(machine: Machine, jump: float) -> None:
    """What cannot have happened in a second is no second of idling, and none of full load either."""
    run = Run(machine)
    run.seconds(*[0.5] * 5)
    machine.burn(jump)
    assert run.seconds(0.5, 0.5) == pytest.approx([0.5, 0.5], abs=0.01)


def test_real_load_makes_full(machine: Machine) -> None:
    """The guard above does not keep the brake from ever closing."""
    run = Run(machine)
    brake = Brake()
    full = [brake.update((run.second(1.0).cpu or 0.0) / 0.7, run.now) for _ in range(7)]
    assert full == [False] * 5 + [True] * 2


@pytest.mark.parametrize(
    "text", ["", "\n", "max\n", "max 100000\n", "0 0\n", "-1 100000\n", "1 0\n", "x y\n", "9" * 5000]
)
def test_quota_that_says_nothing_leaves_the_machine(tmp_path: Path, text: str) -> None:
    """No limit is not a limit of zero: what counts then is the machine."""
    machine = Version2(tmp_path)
    machine.write(f"{machine.group}/cpu.max", text)
    run = Run(machine)
    for second in range(1, 6):
        machine.cpu_time(1000.0 + 0.25 * second)
        run.second(1.0)
    assert run.last.cpu == pytest.approx(0.25, abs=0.01)


def test_missing_cpu_max_is_looked_for_further_up(tmp_path: Path) -> None:
    """The group's own file is missing; the one above has the quota, and its use counts."""
    machine = Version2(tmp_path)
    (tmp_path / machine.group / "cpu.max").unlink()
    machine.write("sys/fs/cgroup/pod/cpu.max", "100000 100000\n")
    machine.write("sys/fs/cgroup/pod/cpu.stat", "usage_usec 0\n")
    run = Run(machine)
    for second in range(1, 6):
        machine.write("sys/fs/cgroup/pod/cpu.stat", f"usage_usec {second * 800_000}\n")
        run.second(0.0)
    assert run.last.cpu == pytest.approx(0.8, abs=0.01)


def test_quota_above_what_the_machine_has_is_none(tmp_path: Path) -> None:
    """Six cpus on a machine of four, which has room for eight, can never be reached: the machine's load counts."""
    machine = Version2(tmp_path)
    machine.write(f"{machine.group}/cpu.max", "600000 100000\n")
    run = Run(machine)
    for second in range(1, 6):
        machine.cpu_time(1000.0 + 0.9 * second)
        run.second(0.1)
    assert run.last.cpu == pytest.approx(0.9, abs=0.01)


def test_only_cpus_that_the_host_may_run_on_count(tmp_path: Path) -> None:
    """A container bound to two of four cpus is full when those two are."""
    machine = Bare(tmp_path)
    machine.write("proc/self/status", "Cpus_allowed_list:\t1,3-9\n")
    machine.cpu_time(0.0)
    run = Run(machine)
    for second in range(1, 6):
        machine.cpu_time(0.0, second, 0.0, second)
        run.now += 1.0
        run.last = run.sampler.sample(run.now)
    assert run.last.cpu == pytest.approx(1.0, abs=0.01)


def test_waiting_for_a_disk_is_idle(tmp_path: Path) -> None:
    """iowait is time in which a job could run."""
    machine = Bare(tmp_path)
    machine.cpu_time(50.0)
    run = Run(machine)
    for second in range(1, 6):
        machine.cpu_time(50.0 + second * 0.25, waited=second * 0.75)
        run.now += 1.0
        run.last = run.sampler.sample(run.now)
    assert run.last.cpu == pytest.approx(0.25, abs=0.01)


def test_quota_that_comes_and_goes_mixes_no_counters(tmp_path: Path) -> None:
    """A quota set while the host runs: the first reading of another counter is a beginning, not a difference."""
    machine = Version2(tmp_path)
    machine.write(f"{machine.group}/cpu.max", "max 100000\n")
    run = Run(machine)
    machine.cpu_time((machine.burnt - 1.0) / 4)
    run.second(0.0)
    machine.write(f"{machine.group}/cpu.max", "200000 100000\n")
    assert run.second(0.5).cpu == 0.0
    assert run.seconds(*[0.5] * 5)[-1] == pytest.approx(0.5, abs=0.01)


def test_version_1_with_cpu_and_cpuacct_apart(tmp_path: Path) -> None:
    """Two mounts, one group: quota from one, use from the other."""
    machine = Version1(tmp_path)
    machine.write("proc/self/cgroup", "3:cpu:/docker/abc\n2:cpuacct:/docker/abc\n")
    machine.write("sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us", "100000\n")
    machine.write("sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us", "100000\n")
    machine.write("sys/fs/cgroup/cpuacct/docker/abc/cpuacct.usage", "0\n")
    run = Run(machine)
    for second in range(1, 6):
        machine.write("sys/fs/cgroup/cpuacct/docker/abc/cpuacct.usage", f"{second * 700_000_000}\n")
        run.second(0.0)
    assert run.last.cpu == pytest.approx(0.7, abs=0.01)


@pytest.mark.parametrize("counted", ["/", "/docker/other"])
def test_version_1_counted_as_another_group_than_limited_leaves_the_machine(tmp_path: Path, counted: str) -> None:
    """The use of others in a small group's quota would be full for ever."""
    machine = Version1(tmp_path)
    machine.write("proc/self/cgroup", f"3:cpu:/docker/abc\n2:cpuacct:{counted}\n")
    machine.write("sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us", "100000\n")
    machine.write("sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us", "100000\n")
    run = Run(machine)
    for second in range(6):
        machine.write(f"sys/fs/cgroup/cpuacct{counted}/cpuacct.usage", f"{second * 900_000_000}\n")
        run.second(0.0)
    assert run.last.cpu == 0.0


def test_version_1_writes_no_limit_as_a_huge_number(tmp_path: Path) -> None:
    """9223372036854771712 bytes are no limit; what the machine has is the measure."""
    machine = Version1(tmp_path)
    machine.write(f"{machine.memory_group}/memory.limit_in_bytes", "9223372036854771712\n")
    machine.available(2 * GIB)
    assert memory_limit(tmp_path) is None
    assert Run(machine).last.memory == pytest.approx(0.75, abs=0.01)


def test_huge_limit_is_none_also_where_the_machine_is_unknown(tmp_path: Path) -> None:
    """Without /proc/meminfo the number itself must do."""
    machine = Version1(tmp_path)
    machine.write(f"{machine.memory_group}/memory.limit_in_bytes", "9223372036854771712\n")
    machine.write("proc/meminfo", "")
    assert memory_limit(tmp_path) is None
    assert Run(machine).last.memory is None


def test_memory_limit_further_up_counts_with_what_is_used_there(tmp_path: Path) -> None:
    """A pod's limit holds for all of its containers together."""
    machine = Version2(tmp_path)
    machine.write(f"{machine.group}/memory.max", "max\n")
    machine.write("sys/fs/cgroup/pod/memory.max", f"{2 * GIB}\n")
    machine.write("sys/fs/cgroup/pod/memory.current", f"{GIB}\n")
    assert memory_limit(tmp_path) is not None
    assert Run(machine).last.memory == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("limit", ["max\n", "0\n", "-1\n", "much\n", "", f"{8 * GIB}\n", f"{64 * GIB}\n"])
def test_memory_limit_that_limits_nothing_is_none(tmp_path: Path, limit: str) -> None:
    """No limit, nonsense, or as much as the machine has."""
    machine = Version2(tmp_path)
    assert memory_limit(tmp_path) is not None
    machine.write(f"{machine.group}/memory.max", limit)
    assert memory_limit(tmp_path) is None


@pytest.mark.parametrize(
    ("current", "stat", "ratio"),
    [
        pytest.param(f"{GIB // 4}\n", "", 0.25, id="no statistics"),
        pytest.param("5\n", f"inactive_file {GIB}\n", 0.0, id="more cache than memory"),
        pytest.param(f"{9 * GIB}\n", "inactive_file 0\n", 1.0, id="more than the limit"),
        pytest.param("nonsense\n", "inactive_file 0\n", None, id="nonsense"),
    ],
)
def test_absurd_memory_stays_in_range(tmp_path: Path, current: str, stat: str, ratio: float | None) -> None:
    """Between two files read one after the other the group may have changed."""
    machine = Version2(tmp_path)
    machine.write(f"{machine.group}/memory.current", current)
    machine.write(f"{machine.group}/memory.stat", stat)
    assert Run(machine).last.memory == ratio


def test_machine_that_tells_nothing_has_no_load(tmp_path: Path) -> None:
    """Unknown is None, from the first sample on, and never an error."""
    sampler = MachineSampler(tmp_path, linux=True)
    loads = [sampler.sample(now) for now in (0.0, 1.0, 2.0)]
    assert loads == [MachineLoad(cpu=None, memory=None)] * 3
    assert memory_limit(tmp_path) is None


def test_figures_that_cease_are_forgotten_after_five_seconds(machine: Machine) -> None:
    """An old average does not stand for ever."""
    run = Run(machine)
    run.seconds(*[0.5] * 6)
    for path in machine.root.rglob("*"):
        if path.is_file():
            path.unlink()
    now = run.now
    assert run.sampler.sample(now + 4.0) != MachineLoad(cpu=None, memory=None)
    assert run.sampler.sample(now + 5.0) == MachineLoad(cpu=None, memory=None)


def test_sample_asked_for_too_soon_gives_the_last_averages(machine: Machine) -> None:
    """Over a few milliseconds one tick of the counter would be a load of 100 %; the clock going back is as little."""
    run = Run(machine)
    last = run.seconds(*[0.5] * 5)[-1]
    machine.burn(0.01)
    assert run.sampler.sample(run.now + 0.001).cpu == last
    assert run.sampler.sample(run.now).cpu == last


def test_late_sample_covers_the_time_since_the_one_before(machine: Machine) -> None:
    """A host that was held up for a minute does not see a minute's work as one second's."""
    run = Run(machine)
    machine.burn(60 * 0.3 * machine.cpus)
    run.now += 60.0
    assert run.sampler.sample(run.now).cpu == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize("linux", [True, False], ids=["proc", "psutil"])
def test_this_machine_tells_its_load(linux: bool) -> None:
    """The real files, and psutil's figures, are understood."""
    if linux and not sys.platform.startswith("linux"):
        pytest.skip("there is no /proc")
    sampler = MachineSampler(linux=linux)
    began = time.monotonic()
    first = sampler.sample(began)
    assert first.cpu == 0.0
    assert first.memory is not None
    assert 0.0 < first.memory < 1.0
    while (now := time.monotonic()) < began + 0.2:
        pass  # it uses a processor so long
    second = sampler.sample(now)
    assert second.cpu is not None
    assert 0.0 < second.cpu <= 1.0


@pytest.mark.quiet
def test_sample_is_cheap_and_starts_no_thread(tmp_path: Path) -> None:
    """It runs on the host's loop: no thread, and, with room for a slow machine, below a few milliseconds."""
    machine = Version2(tmp_path)
    sampler = MachineSampler(machine.root, linux=True)
    threads = threading.active_count()
    began = time.process_time()
    for now in range(20):
        sampler.sample(float(now))
    assert (time.process_time() - began) / 20 < 0.003
    assert threading.active_count() == threads
