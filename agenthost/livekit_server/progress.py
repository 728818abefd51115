"""Shows a build while it runs: one living line on a terminal, one line a step everywhere else. On stderr."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from agenthost.livekit_server.command import Report


@contextmanager
def build_progress(stream: TextIO | None = None) -> Iterator[Report]:
    """What to pass to `ensure_installed` as `report`; the living line is gone at the end. Default: stderr."""
    target = stream or sys.stderr
    if target.isatty():
        with _living_line(target) as report:
            yield report
    else:
        yield _Lines(target)


class _Lines:
    """Writes a step when it begins, and none of its details: two minutes are five lines in a CI log, not 900."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._step = ""

    def __call__(self, step: str, detail: str) -> None:
        if step != self._step:
            self._step = step
            self._stream.write(f"{step} …\n")
            self._stream.flush()


@contextmanager
def _living_line(stream: TextIO) -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.table import Column

    # the detail alone gives way when the line is too long for the terminal
    detail_column = Column(ratio=1, no_wrap=True, overflow="ellipsis")
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", table_column=Column(no_wrap=True)),
        TimeElapsedColumn(),
        TextColumn("{task.fields[detail]}", style="dim", table_column=detail_column),
    )
    progress = Progress(*columns, console=Console(file=stream), transient=True, expand=True)
    task = progress.add_task("", total=None, detail="")

    def report(step: str, detail: str) -> None:
        progress.start()  # only now: where nothing needs to be built, nothing flickers
        progress.update(task, description=step, detail=detail)

    try:
        yield report
    finally:
        progress.stop()
