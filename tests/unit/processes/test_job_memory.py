"""When a job's memory is worth a warning, and when it is too much."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from agenthost import kernel
from agenthost.processes.job_memory import GROWTH_BYTES, MemoryReport, MemoryVerdict, MemoryWatch

MB = 1_000_000
TRUE = shutil.which("true") or ""
OK, WARN, STOP = MemoryVerdict.OK, MemoryVerdict.WARN, MemoryVerdict.STOP
FAR_OVER, GROWING = MemoryVerdict.FAR_OVER, MemoryVerdict.GROWING


def verdicts(watch: MemoryWatch, *megabytes: float) -> list[MemoryVerdict]:
    return [watch.judge(int(size * MB)) for size in megabytes]


def test_first_measurement_over_the_threshold_warns_once() -> None:
    """A job that stays where it is gets one line in the log, not one every five seconds."""
    assert verdicts(MemoryWatch(500 * MB, None), 500, 501, 501, 520) == [OK, WARN, OK, OK]


def test_each_fifty_megabytes_of_growth_warn_again() -> None:
    """Growth counts from the last warning."""
    assert verdicts(MemoryWatch(500 * MB, None), 510, 559, 560, 609, 700) == [WARN, OK, WARN, OK, WARN]


def test_memory_that_falls_and_rises_again_does_not_warn_again() -> None:
    """A job that breathes around its threshold makes no noise."""
    assert verdicts(MemoryWatch(500 * MB, None), 510, 300, 510, 300, 520) == [WARN, OK, OK, OK, OK]


def test_memory_over_the_limit_stops_once() -> None:
    """Exactly the limit is allowed; who stays where it is, has the time to end."""
    assert verdicts(MemoryWatch(None, 1000 * MB), 1000, 1000.5, 1000.5, 900, 1090) == [OK, STOP, OK, OK, OK]


def test_memory_that_grows_after_the_stop_kills() -> None:
    """By more than a tenth of the limit: the end itself may take some."""
    assert verdicts(MemoryWatch(None, 1000 * MB), 1050, 1150, 1151, 1152) == [STOP, OK, GROWING, GROWING]


def test_memory_far_over_the_limit_kills_at_once() -> None:
    """By half of it, whether or not it was asked to end before."""
    assert verdicts(MemoryWatch(None, 1000 * MB), 1501) == [FAR_OVER]
    assert verdicts(MemoryWatch(None, 1000 * MB), 1450, 1500, 1501) == [STOP, OK, FAR_OVER]


def test_limit_goes_before_the_warning() -> None:
    """A job over both is stopped, not warned about."""
    assert verdicts(MemoryWatch(500 * MB, 1000 * MB), 1400) == [STOP]


def test_without_thresholds_nothing_is_said() -> None:
    """`none` in the file means none."""
    assert verdicts(MemoryWatch(None, None), 10**9) == [OK]


def test_running_process_over_its_threshold_is_reported_with_what_it_uses() -> None:
    """The figure is its private memory, as the kernel counts it."""
    report = MemoryWatch(MB, None).look(os.getpid(), 100.0)
    used = kernel.private_memory(os.getpid())
    assert report is not None
    assert used is not None
    assert (report.verdict, report.over_limit) == (WARN, False)
    assert report.used == pytest.approx(used, rel=0.2)


def test_process_over_its_limit_is_reported_as_over_limit() -> None:
    """The host stops the job on this."""
    report = MemoryWatch(None, MB).look(os.getpid(), 100.0)
    assert report is not None
    assert report.over_limit


def test_process_within_its_thresholds_is_not_reported() -> None:
    """Nothing to say is None."""
    assert MemoryWatch(10**15, 10**15).look(os.getpid(), 100.0) is None


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The pids that were measured, in turn."""
    pids: list[int] = []
    measure = kernel.private_memory
    monkeypatch.setattr(kernel, "private_memory", lambda pid: (pids.append(pid), measure(pid))[1])
    return pids


def test_process_within_its_limit_is_measured_every_five_seconds_only(measured: list[int]) -> None:
    """However often the host asks: reading a large process costs the kernel milliseconds."""
    resident = _resident()
    watch = MemoryWatch(resident, 2 * resident)
    counts = [(watch.look(os.getpid(), now), len(measured))[1] for now in (100.0, 101.0, 104.9, 105.0, 106.0, 110.0)]
    assert counts == [1, 1, 1, 2, 2, 3]


def test_process_near_its_limit_is_measured_whenever_the_host_asks(measured: list[int]) -> None:
    """What it has is over 70 % of the limit, or would be with all that has come since the last time."""
    private = kernel.private_memory(os.getpid())
    assert private is not None
    measured.clear()
    near, far = MemoryWatch(None, int(private / 0.8)), MemoryWatch(None, 2 * _resident() + 200 * MB)
    assert [(near.look(os.getpid(), now), len(measured))[1] for now in (100.0, 101.0, 102.0)] == [1, 2, 3]
    measured.clear()
    assert [(far.look(os.getpid(), now), len(measured))[1] for now in (100.0, 101.0)] == [0, 0]
    eaten = bytes(1) * (2 * _resident())
    assert (far.look(os.getpid(), 102.0), len(measured))[1] == 1
    del eaten


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts what Linux calls shared")
def test_memory_that_the_process_shares_is_not_its_own() -> None:
    """Between resident and private memory lie the libraries: resident alone makes nobody guilty."""
    private = kernel.private_memory(os.getpid())
    pages = int(Path(f"/proc/{os.getpid()}/statm").read_text().split()[1])
    resident = pages * os.sysconf("SC_PAGE_SIZE")
    assert private is not None
    threshold = (private + resident) // 2
    assert MemoryWatch(threshold, threshold).look(os.getpid(), 100.0) is None


def test_process_that_is_gone_is_not_reported() -> None:
    """Between two looks a job may end."""
    pid = os.posix_spawn(TRUE, ["true"], {})
    os.waitpid(pid, 0)
    assert MemoryWatch(0, 0).look(pid, 100.0) is None


def test_process_that_has_ended_and_was_not_reaped_is_not_reported() -> None:
    """A zombie has no memory any more."""
    pid = os.posix_spawn(TRUE, ["true"], {})
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    try:
        assert MemoryWatch(0, 0).look(pid, 100.0) is None
    finally:
        os.waitpid(pid, 0)


def test_process_that_does_not_exist_yet_is_looked_at_as_soon_as_it_does() -> None:
    """A look without pid does not use up the five seconds."""
    watch = MemoryWatch(None, MB)
    assert watch.look(None, 100.0) is None
    assert watch.look(os.getpid(), 100.5) is not None


def test_growth_is_fifty_megabytes() -> None:
    """The number that the reference names."""
    assert GROWTH_BYTES == 50 * MB
    assert MemoryReport(used=1, verdict=STOP).over_limit
