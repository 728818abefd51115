"""`python -m tests.examples.run CHECKOUT`: the examples of livekit-agents under agenthost, with stand-in models.

CHECKOUT is a checkout of livekit/agents. Options: `--only NAME` (repeatable; part of an example's path), `--logs
FOLDER` keeps what the hosts logged, `--write` puts the table into docs/voice.md. Each example runs in a copy outside of
the repository and of the checkout, without the `.env` files that may lie in there. Exit code 1 when one comes less far
than it should (`listed.py`), or further.
"""

import argparse
import asyncio
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from agenthost.livekit_server.build import ensure_installed
from agenthost.livekit_server.locate import VERSION
from tests.examples.listed import LISTED, SKIPPED, Stage, expected
from tests.examples.visit import Visited, visit
from tests.support.real_server import RealLiveKitServer

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "voice.md"
BEGIN, END = "<!-- examples: begin -->", "<!-- examples: end -->"


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.examples.run", description="run livekit-agents' examples")
    parser.add_argument("checkout", metavar="CHECKOUT", type=Path)
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--logs", type=Path, metavar="FOLDER")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args(argv)
    checkout = args.checkout.resolve()
    if not (checkout / "examples").is_dir():
        parser.error(
            f"{args.checkout} has no folder `examples`; is it a checkout of https://github.com/livekit/agents?"
        )
    found = find_examples(checkout / "examples")
    names = [name for name in found if not args.only or any(part in name for part in args.only)]
    results = asyncio.run(run_all(names, checkout / "examples", args.logs))
    table = render(names, results, checkout)
    sys.stdout.write(f"\n{table}")
    if args.write:
        write(table)
    gone = [] if args.only else sorted((LISTED.keys() | SKIPPED.keys()) - set(names))
    wrong = [*unexpected(results), *(f"{name}: listed, and not in this checkout" for name in gone)]
    sys.stdout.write("".join(f"{line}\n" for line in wrong))
    return 1 if wrong else 0


def find_examples(folder: Path) -> list[str]:
    """The scripts that hand an agent over, by their path in `folder`."""
    scripts = [file for file in sorted(folder.rglob("*.py")) if "cli.run_app(" in file.read_text(errors="replace")]
    return [script.relative_to(folder).as_posix() for script in scripts]


async def run_all(names: Sequence[str], folder: Path, logs: Path | None) -> dict[str, Visited]:
    """One after the other; those that are skipped are not among the results."""
    binary = await ensure_installed(lambda step, detail: None)
    results = {}
    with tempfile.TemporaryDirectory(prefix="agenthost-examples-") as scratch:
        copy = Path(scratch, "examples")
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns(".env*", "__pycache__"))
        with RealLiveKitServer(binary, Path(scratch)) as server:
            for name in names:
                if name in SKIPPED:
                    continue
                began = time.monotonic()
                results[name] = found = await visit(copy / name, server, os.environ, _log_file(logs, name))
                tell(name, found, time.monotonic() - began)
    return results


def _log_file(logs: Path | None, name: str) -> Path | None:
    if logs is None:
        return None
    logs.mkdir(parents=True, exist_ok=True)
    return logs / f"{name.replace('/', '_')}.txt"


def unexpected(results: Mapping[str, Visited]) -> list[str]:
    """A line for each example that came less far than it should, or further."""
    lines = []
    for name, found in results.items():
        wanted = expected(name)
        if (found.reached, found.ended) == (wanted.reaches, wanted.ends):
            continue
        want = f"{_word(wanted.reaches)}, {wanted.ends or 'no end'}"
        got = f"{_word(found.reached)}, {found.ended or 'no end'}"
        lines.append(f"{name}: expected {want}; found {got}. {found.why}")
    return lines


def render(names: Sequence[str], results: Mapping[str, Visited], checkout: Path) -> str:
    """The table, and what it was made with."""
    lines = ["| example | imported | registered | job | session | ended | why not |", "|---" * 7 + "|"]
    for name in names:
        if name in SKIPPED:
            cells = ["not run", "", "", "", "", SKIPPED[name]]
        else:
            found = results[name]
            cells = ["yes" if found.reached >= stage else "–" for stage in list(Stage)[1:]]
            cells += [found.ended, expected(name).why]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    sessions = sum(found.reached is Stage.SESSION for found in results.values())
    commit = _git(checkout, "%h of %cs") or "no git checkout"
    version = importlib.metadata.version("livekit-agents")
    made = f"{sessions} of {len(results)} reach a session. livekit/agents at {commit}, livekit-agents {version}"
    python = ".".join(map(str, sys.version_info[:3]))
    return "\n".join([*lines, "", f"{made}, livekit-server {VERSION}, Python {python}.", ""])


def write(table: str) -> None:
    """Put the table between its markers."""
    before, found, rest = PAGE.read_text().partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not found or not closed:
        raise ValueError(f"{PAGE} has no {BEGIN} with {END} after it")
    PAGE.write_text(f"{before}{BEGIN}\n{table}{END}{after}")


def tell(name: str, found: Visited, seconds: float) -> None:
    more = [f"asked {', '.join(found.used)}"] if found.used else []
    more += [f"refused {', '.join(found.wanted)}"] if found.wanted else []
    more += [f"heard {found.said[0]!r}"] if found.said else []
    more += [found.why] if found.why else []
    line = f"{name}: {_word(found.reached)}, {found.ended or 'no end'} ({seconds:.0f} s)"
    sys.stdout.write(f"{'; '.join([line, *more])}\n")
    sys.stdout.flush()


def _word(stage: Stage) -> str:
    return stage.name.lower().replace("_", " ")


def _git(checkout: Path, form: str) -> str:
    command = ["git", "-C", str(checkout), "log", "-1", f"--format={form}"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
