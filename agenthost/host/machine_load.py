"""How much of the cpu and memory that the host may use is used: by all, not by its jobs alone. Runs on the host's loop.

What the host may use is the quota and the limit of the nearest cgroup that has one (version 2 or 1, or one of each),
else the machine, of whose cpus only those that this process may run on. macOS is asked through psutil.

A sample reads some fifteen small kernel files, which takes a fraction of a millisecond, and keeps no thread and no file
open. It never raises: what cannot be read, or cannot be true, is left out of the average.
"""

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from agenthost import kernel
from agenthost.cgroups import memory_limit, own_cgroup, parse_count, read_entry, read_number, read_text

AVERAGE_SECONDS = 5.0
_SHORTEST_SECONDS = 0.1
"""Cpu time is counted in ticks of 10 ms: over less than this a ratio would be noise."""

_IMPOSSIBLE = 2.0
"""A cgroup may pass its quota a little (bursts, the edge of a period); twice the quota is a counter that jumped."""

_ROOT = Path("/")


class MachineLoad(Struct, frozen=True, kw_only=True):
    """Averages of the last 5 s as ratios 0..1 of what the host may use; None where the system does not tell."""

    cpu: float | None
    memory: float | None


class MachineSampler:
    """Call `sample` once a second. `root` is where /proc and /sys are found; without `linux`, psutil is asked."""

    def __init__(self, root: Path = _ROOT, *, linux: bool = kernel.LINUX) -> None:
        self._root = root
        self._linux = linux
        self._last: _CpuTime | None = None
        self._last_at: float | None = None
        self._cpu = _Average()
        self._memory = _Average()

    def sample(self, now: float) -> MachineLoad:
        """Measure and average. `now` is in seconds of a clock that never goes back.

        The time before the first sample counts as idle cpu, lest the imports of its own start make the host full.
        Called sooner than 0.1 s after the last time it measures nothing, and the last averages hold.
        """
        if self._last_at is None:
            self._measure(now, seconds=1.0)
            self._begin_idle(now)
        elif now - self._last_at >= _SHORTEST_SECONDS:
            self._measure(now, seconds=now - self._last_at)
        return MachineLoad(cpu=self._cpu.over(now), memory=self._memory.over(now))

    def _begin_idle(self, now: float) -> None:
        if self._last is not None:
            for age in range(int(AVERAGE_SECONDS)):
                self._cpu.add(0.0, seconds=1.0, at=now - age)

    def _measure(self, now: float, *, seconds: float) -> None:
        cpu = _cpu_time(self._root) if self._linux else _portable_cpu_time()
        ratio = _cpu_ratio(self._last, cpu, seconds)
        if ratio is not None:
            self._cpu.add(ratio, seconds=seconds, at=now)
        used = _memory_ratio(self._root) if self._linux else _portable_memory_ratio()
        if used is not None:
            self._memory.add(used, seconds=seconds, at=now)
        self._last, self._last_at = cpu, now


class _Average:
    """Of ratios, each of which held for some seconds until a moment, over those that began in the last 5 s."""

    def __init__(self) -> None:
        self._parts: deque[tuple[float, float, float]] = deque()

    def add(self, ratio: float, *, seconds: float, at: float) -> None:
        self._parts.append((at, seconds, min(1.0, max(0.0, ratio))))

    def over(self, now: float) -> float | None:
        self._parts = deque(part for part in self._parts if part[0] > now - AVERAGE_SECONDS)
        total = sum(seconds for _, seconds, _ in self._parts)
        if not total:
            return None
        # Clamped again: sums of floats may pass 1 by a rounding error.
        return min(1.0, sum(seconds * ratio for _, seconds, ratio in self._parts) / total)


# ── cpu ──────────────────────────────────────────────────────────────────────────────────────────────────────


class _CpuTime(Struct, frozen=True, kw_only=True):
    """Cpu seconds used so far, as `source` counts them, and how many cpus may be used at once."""

    source: Path
    seconds: float
    cpus: float


def _cpu_ratio(before: _CpuTime | None, after: _CpuTime | None, seconds: float) -> float | None:
    """None where two readings cannot be compared, or differ by what cannot be."""
    if before is None or after is None or before.source != after.source:
        return None
    ratio = (after.seconds - before.seconds) / (seconds * after.cpus)
    return ratio if 0.0 <= ratio <= _IMPOSSIBLE else None


def _cpu_time(root: Path) -> _CpuTime | None:
    usable = _usable_cpus(root)
    for quota in _cpu_quotas(root):
        if usable is None or quota.cpus < len(usable):
            return quota
    return _machine_cpu_time(root, usable)


def _cpu_quotas(root: Path) -> Iterator[_CpuTime]:
    """The cgroups of this process that have a cpu quota, nearest first."""
    group = own_cgroup("cpu", root)
    if group is None:
        return
    if group.version == 2:
        for folder in group.folders:
            quota, period = _cpu_max(folder / "cpu.max")
            used = read_entry(folder / "cpu.stat", "usage_usec")
            if quota and period and used is not None:
                yield _CpuTime(source=folder, seconds=used / 1e6, cpus=quota / period)
        return
    account = own_cgroup("cpuacct", root)
    if account is None or account.path != group.path:
        return  # limited as one group and counted as another: the figures say nothing about each other
    for folder, counted in zip(group.folders, account.folders, strict=True):
        quota, period = read_number(folder / "cpu.cfs_quota_us"), read_number(folder / "cpu.cfs_period_us")
        used = read_number(counted / "cpuacct.usage")
        if quota and period and used is not None:
            yield _CpuTime(source=folder, seconds=used / 1e9, cpus=quota / period)


def _cpu_max(path: Path) -> tuple[int | None, int | None]:
    """Quota and period in microseconds; no quota where the file says `max` or is missing, as in the root cgroup."""
    words = (read_text(path) or "").split()
    if len(words) != 2:
        return None, None
    return parse_count(words[0]), parse_count(words[1])


def _machine_cpu_time(root: Path, usable: frozenset[int] | None) -> _CpuTime | None:
    """Of the cpus that this process may run on: in a container without quota, others may have the rest."""
    path = root / "proc/stat"
    ticks = 0
    cpus = 0
    for line in (read_text(path) or "").splitlines():
        name, *words = line.split() or [""]
        number = parse_count(name.removeprefix("cpu"))
        if not name.startswith("cpu") or number is None or (usable is not None and number not in usable):
            continue
        # user nice system idle iowait irq softirq steal; guests are in user already
        counts = [parse_count(word) for word in words[:8]]
        ticks += sum(count or 0 for column, count in enumerate(counts) if column not in (3, 4))
        cpus += 1
    if not cpus:
        return None
    return _CpuTime(source=path, seconds=ticks / os.sysconf("SC_CLK_TCK"), cpus=cpus)


def _usable_cpus(root: Path) -> frozenset[int] | None:
    """Cpus that are on and on which this process may run; None where the system does not tell."""
    allowed: frozenset[int] | None = None
    for line in (read_text(root / "proc/self/status") or "").splitlines():
        if line.startswith("Cpus_allowed_list:"):
            allowed = _cpu_list(line.partition(":")[2])
    # Without a cpuset the allowed ones are all that could ever be plugged in.
    online = _cpu_list(read_text(root / "sys/devices/system/cpu/online") or "")
    if not allowed or not online:
        return allowed or online or None
    return allowed & online or None


def _cpu_list(text: str) -> frozenset[int]:
    """`0-3,8` → {0, 1, 2, 3, 8}."""
    cpus: set[int] = set()
    for part in text.strip().split(","):
        first, dash, last = part.partition("-")
        low, high = parse_count(first), parse_count(last if dash else first)
        if low is not None and high is not None and high - low < 1 << 16:
            cpus.update(range(low, high + 1))
    return frozenset(cpus)


# ── memory ───────────────────────────────────────────────────────────────────────────────────────────────────


def _memory_ratio(root: Path) -> float | None:
    limit = memory_limit(root)
    if limit is None:
        return _machine_memory_ratio(root)
    v2 = limit.version == 2
    used = read_number(limit.folder / ("memory.current" if v2 else "memory.usage_in_bytes"))
    if used is None:
        return None
    # What was read from files and not used of late is given back before anything is killed. Version 1 counts the
    # groups below only in the `total_` entries.
    cache = read_entry(limit.folder / "memory.stat", "inactive_file" if v2 else "total_inactive_file") or 0
    return (used - cache) / limit.bytes


def _machine_memory_ratio(root: Path) -> float | None:
    path = root / "proc/meminfo"
    total, available = read_entry(path, "MemTotal"), read_entry(path, "MemAvailable")
    if not total or available is None:
        return None
    return 1.0 - available / total


# ── macOS ────────────────────────────────────────────────────────────────────────────────────────────────────


def _portable_cpu_time() -> _CpuTime | None:
    import psutil

    times = psutil.cpu_times()
    busy = times.user + times.nice + times.system
    return _CpuTime(source=_ROOT, seconds=busy, cpus=psutil.cpu_count() or 1)


def _portable_memory_ratio() -> float | None:
    import psutil

    return psutil.virtual_memory().percent / 100
