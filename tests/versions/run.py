"""`make versions`: the tests on each Python there is, on the ends of the range of livekit-agents, and as installed.

`python -m tests.versions.run [GROUP…]`, all without; a version of livekit-agents is a group, too. One table at the end,
and exit code 1 when anything failed, or when a process used something of Python's that is deprecated. Other Pythons
than `pythons` finds are named by the variable PYTHONS. livekit-agents' old releases do not bound their own dependencies
from above; what they need to be imported today is pinned here.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from agenthost.child.missing_packages import TRIED
from tests.support import deprecated
from tests.versions.environment import ROOT, ensure
from tests.versions.pythons import SYSTEM, newest_of_each, of_uv, version_of

NEWEST = TRIED[1]
PINS = {"1.5.9": ("openai<3",)}
VOICE = ("tests/unit/voice", "tests/integration/test_voice_*.py", "tests/e2e/test_voice_*.py")
HOSTING = ("tests/e2e/test_dev.py",)
CORE = ("tests/unit", "tests/golden", "tests/integration/processes", *VOICE[1:], *HOSTING)
DEFAULT = Path(sys.executable)


class Row(NamedTuple):
    """One environment, and what is run in it. `lacks`: names that `os` has not got there."""

    name: str
    python: Path
    tests: tuple[str, ...]
    version: str = NEWEST  # of livekit-agents
    system_site: bool = False
    lacks: tuple[str, ...] = ()


class Result(NamedTuple):
    """Of the tests of one row; `error` is why there are none. `deprecated` are lines that use what will go away."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    error: str = ""
    deprecated: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return self.passed > 0 and not (self.failed or self.error or self.deprecated)


def of_pythons() -> Iterator[Row]:
    """The core of the suite on each version."""
    for python in newest_of_each():
        yield Row(f"Python {_dotted(python)}", python, CORE)


def of_newest() -> Iterator[Row]:
    yield list(of_pythons())[-1]


def of_livekit_agents(*versions: str) -> Iterator[Row]:
    """On the default Python; the ends of the range without."""
    for version in versions or TRIED:
        yield Row(f"livekit-agents {version}", DEFAULT, VOICE, version)


def of_installs() -> Iterator[Row]:
    """`agenthost dev` with a job to its end, on what people have besides."""
    if version_of(SYSTEM) >= (3, 11):
        yield Row(f"the system's Python {_dotted(SYSTEM)}", SYSTEM, HOSTING)
        yield Row("… with --system-site-packages", SYSTEM, HOSTING, system_site=True)
    for python in of_uv():
        yield Row(f"uv's Python {_dotted(python)}", python, HOSTING)
    # what os lacks in a Python that was built with glibc 2.17 and the headers of its kernel, as uv's and conda's were
    yield Row("without what an old C library lacks", DEFAULT, HOSTING, lacks=LACKED)


LACKED = ("copy_file_range", "getrandom", "memfd_create", "pidfd_open")
GROUPS: dict[str, Callable[[], Iterator[Row]]] = {
    "pythons": of_pythons,
    "newest": of_newest,
    "livekit-agents": of_livekit_agents,
    "installs": of_installs,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 1 when any row fails; all are run."""
    parser = argparse.ArgumentParser(prog="versions", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument(
        "group", nargs="*", help=f"any of {', '.join(GROUPS)}, or a version of livekit-agents; all but newest without"
    )
    parser.add_argument("--workers", type=int, default=4)
    options = parser.parse_args(argv)
    groups = options.group or [name for name in GROUPS if name != "newest"]
    results = {}
    for group in groups:
        for row in GROUPS[group]() if group in GROUPS else of_livekit_agents(group):
            tell(f"\n{row.name}")
            results[row] = run(row, options.workers)
    tell(table(results))
    return 0 if all(result.ok for result in results.values()) else 1


def run(row: Row, workers: int) -> Result:
    """Makes its environment where there is none."""
    folder = ROOT / ".bench" / _folder(row)
    packages = (f"livekit-agents=={row.version}", f"livekit-plugins-silero=={row.version}", *PINS.get(row.version, ()))
    try:
        python = ensure(folder, row.python, packages, system_site=row.system_site, lacks=row.lacks)
        # A failing import must not pass for "livekit-agents is not installed, nothing to test".
        subprocess.run([python, "-c", "import livekit.agents"], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return Result(error=str(error))
    with tempfile.TemporaryDirectory() as found:
        began = time.monotonic()
        report, uses = Path(found, "report.xml"), Path(found, "deprecated")
        files = [str(path) for pattern in row.tests for path in sorted(ROOT.glob(pattern))]
        options = ("-q", "-n", str(workers), "--maxschedchunk", "1", "-m", "not quiet", f"--junitxml={report}")
        subprocess.run(
            [python, "-m", "pytest", *options, f"--basetemp={found}/t", *files],
            cwd=ROOT,
            env=os.environ | {deprecated.FILE: str(uses)},
            check=False,
        )
        return counted(report, time.monotonic() - began, deprecated.recorded(uses))


def counted(report: Path, seconds: float, uses: Sequence[str]) -> Result:
    if not report.exists():
        return Result(error="pytest has not come to its end", seconds=seconds)
    (suite,) = ElementTree.parse(report).getroot().iter("testsuite")
    tests, skipped = int(suite.attrib["tests"]), int(suite.attrib["skipped"])
    failed = int(suite.attrib["failures"]) + int(suite.attrib["errors"])
    return Result(tests - skipped - failed, failed, skipped, seconds, deprecated=tuple(uses))


def table(results: dict[Row, Result]) -> str:
    """A row for each, and below it what is deprecated and which could not be run."""
    lines = [
        "",
        "| | Python | livekit-agents | passed | failed | skipped | deprecated uses | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row, result in results.items():
        numbers = (result.passed, result.failed, result.skipped, len(result.deprecated), round(result.seconds))
        cells = (row.name, _dotted(row.python), row.version, *(str(number) for number in numbers))
        lines.append(f"| {' | '.join(cells)} |")
    for row, result in results.items():
        lines += [f"{row.name}: {text}" for text in (*result.deprecated, result.error) if text]
    return "\n".join(lines)


def _folder(row: Row) -> str:
    base = f"python-{_dotted(row.python)}-{row.version}"
    return base + "-system" * (row.python == SYSTEM) + "-site" * row.system_site + "-old" * bool(row.lacks)


def _dotted(python: Path) -> str:
    return ".".join(str(number) for number in version_of(python))


def tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
