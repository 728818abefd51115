"""The running log: formats, live changes, and readers that do not read."""

import json
import logging
import os
import pty
import resource
import select
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from agenthost.config.model import LogConfig
from agenthost.jobs import JobType
from agenthost.logs.banner import Banner, BannerAgent
from agenthost.logs.events import get_logger
from agenthost.logs.setup import Command, start_logging
from agenthost.texts import printable

pytestmark = pytest.mark.usefixtures("own_logging")

BANNER = Banner(
    version="1",
    command="dev",
    file="agenthost.yaml",
    agents=(BannerAgent(id="support", agent_name="support", type=JobType.ROOM),),
    livekit_url="ws://127.0.0.1:7880",
    local_server=False,
    http=None,
    idle_processes=0,
)


def config(format_: str = "auto", level: str = "INFO", **rename: str) -> LogConfig:
    return LogConfig(level=level, levels={}, format=format_, rename=rename)


class Pipe:
    """A pipe as standard output: `text` reads what was written, after the log was stopped."""

    def __init__(self, ends: tuple[int, int]) -> None:
        self._reader = ends[0]
        self.stream: TextIO = os.fdopen(ends[1], "w")

    def text(self) -> str:
        self.stream.close()
        os.set_blocking(self._reader, False)
        parts = []
        try:
            while data := os.read(self._reader, 65536):
                parts.append(data)
        except (BlockingIOError, OSError):  # a terminal ends with an error instead of an empty read
            pass
        return b"".join(parts).decode()

    def wait_written(self) -> None:
        """Until something is in it."""
        assert select.select([self._reader], [], [], 5)[0]

    def close(self) -> None:
        self.stream.close()
        os.close(self._reader)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe(os.pipe())
    yield pipe
    pipe.close()


@pytest.fixture
def terminal() -> Iterator[Pipe]:
    pipe = Pipe(pty.openpty())
    yield pipe
    pipe.close()


def told(pipe: Pipe, format_: str, command: Command) -> str:
    """What one event looks like."""
    system = start_logging(config(format_), command=command, stream=pipe.stream)
    get_logger("test").info("hello", n=1)
    assert system.stop()
    return pipe.text()


def test_start_writes_json_also_on_a_terminal(terminal: Pipe) -> None:
    """`start` is for machines."""
    assert json.loads(told(terminal, "auto", "start"))["message"] == "hello"


def test_dev_writes_colours_on_a_terminal(terminal: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """`dev` is for people."""
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[" in told(terminal, "auto", "dev")


@pytest.mark.parametrize("format_", ["auto", "rich"])
def test_without_a_terminal_there_are_columns_without_colours(pipe: Pipe, format_: str) -> None:
    """A file or pipe gets text that can be searched."""
    text = told(pipe, format_, "dev")
    assert text.endswith("INFO  hello  n=1\n")
    assert "\x1b" not in text


def test_json_can_be_had_under_dev(pipe: Pipe) -> None:
    """`log_format: json` means JSON, wherever."""
    assert json.loads(told(pipe, "json", "dev"))["n"] == 1


def test_every_line_comes_once_and_in_order_from_any_thread(pipe: Pipe) -> None:
    """Threads of the host log at the same time; nothing is lost, doubled or torn."""
    system = start_logging(config(), command="start", stream=pipe.stream)
    threads = [
        threading.Thread(target=lambda t=t: [get_logger("test").info("e", t=t, n=n) for n in range(100)])
        for t in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert system.stop()
    lines = [json.loads(row) for row in pipe.text().splitlines()]
    assert {t: [line["n"] for line in lines if line["t"] == t] for t in range(4)} == {
        t: list(range(100)) for t in range(4)
    }


def test_apply_changes_levels_names_and_format_of_a_running_log(pipe: Pipe) -> None:
    """A reload of the file reaches the log without a restart."""
    system = start_logging(config(level="INFO"), command="start", stream=pipe.stream)
    get_logger("test").debug("unheard")
    system.apply(config(level="DEBUG", message="msg"))
    get_logger("test").debug("heard")
    assert system.stop()
    assert [json.loads(row)["msg"] for row in pipe.text().splitlines()] == ["heard"]


def test_another_level_keeps_the_columns(terminal: Pipe) -> None:
    """A reload applies the log's settings anew; the column of the agents stays as wide as it was."""
    logging_ = start_logging(config(), command="dev", stream=terminal.stream)
    get_logger("x").bind(agent="support").info("first")
    terminal.wait_written()
    logging_.apply(config(level="DEBUG"))
    get_logger("x").info("second")
    logging_.stop()
    first, second = printable(terminal.text().replace("\r", "")).splitlines()
    assert first.index("first") == second.index("second")


def test_banner_is_laid_out_for_people(pipe: Pipe) -> None:
    """In the order of the lines around it."""
    system = start_logging(config(), command="dev", stream=pipe.stream)
    system.show(BANNER)
    get_logger("test").info("after")
    assert system.stop()
    rows = pipe.text().splitlines()
    assert rows[1] == "agenthost 1 · dev · agenthost.yaml"
    assert rows[-1].endswith("after")


def test_banner_is_lines_for_machines(pipe: Pipe) -> None:
    """Nothing but JSON on a JSON stream, and the dispatch command is in it."""
    system = start_logging(config(), command="start", stream=pipe.stream)
    system.show(BANNER)
    assert system.stop()
    lines = [json.loads(row) for row in pipe.text().splitlines()]
    assert lines[1]["command"] == "agenthost dispatch support --room my-room"


@pytest.mark.quiet
def test_full_pipe_nobody_reads_stops_neither_the_host_nor_its_end(pipe: Pipe) -> None:
    """Logging never waits for the reader, and the end of the host waits a bounded time."""
    system = start_logging(config(), command="start", stream=pipe.stream)
    before = time.monotonic()
    for _ in range(200):
        get_logger("test").info("x" * 5000)
    assert time.monotonic() - before < 1
    assert not system.stop(timeout=0.05)
    assert time.monotonic() - before < 2


def test_lines_lost_to_a_slow_reader_are_counted(pipe: Pipe) -> None:
    """When the reader reads again, it learns what it missed."""
    system = start_logging(config(), command="start", stream=pipe.stream)
    for number in range(300):
        get_logger("test").info("x" * 60_000, n=number)
    reader = threading.Thread(target=lambda: rows.extend(_read_all(pipe)))
    rows: list[bytes] = []
    reader.start()
    assert system.stop(timeout=10)
    pipe.stream.close()
    reader.join(10)
    lines = [json.loads(row) for row in rows]
    lost = sum(line["count"] for line in lines if line["message"] == "log lines dropped")
    assert lost == system.queue.dropped > 0
    assert lost + sum("n" in line for line in lines) == 300
    assert lines[-1]["n"] == 299


def _read_all(pipe: Pipe) -> list[bytes]:
    with os.fdopen(os.dup(pipe._reader), "rb") as file:
        return file.read().splitlines()


@pytest.mark.parametrize("stream", ["none", "closed", "reader gone"])
def test_stdout_that_is_gone_loses_lines_and_nothing_else(stream: str, pipe: Pipe) -> None:
    """A host started with `>&-`, or whose log collector died, goes on."""
    if stream == "closed":
        pipe.stream.close()
    system = start_logging(config(), command="start", stream=None if stream == "none" else pipe.stream)
    if stream == "reader gone":
        os.close(pipe._reader)
        pipe._reader = os.open(os.devnull, os.O_RDONLY)
    get_logger("test").info("hello")
    assert system.stop()
    assert system.queue.dropped == 1


def test_stream_closed_later_does_not_close_the_log(pipe: Pipe) -> None:
    """User code in the same process that closes sys.stdout does not take the log with it."""
    system = start_logging(config(), command="start", stream=pipe.stream)
    pipe.stream.close()
    get_logger("test").info("hello")
    assert system.stop()
    assert json.loads(pipe.text())["message"] == "hello"


def test_stop_gives_the_root_logger_back(pipe: Pipe, own_logging: logging.Logger) -> None:
    """What was there before is there again; a second log can be started."""
    own_logging.addHandler(logging.NullHandler())
    before = own_logging.handlers[:]
    own_logging.setLevel(logging.CRITICAL)
    given = LogConfig(level="INFO", levels={"test.setup": "TRACE"}, format="json", rename={})
    system = start_logging(given, command="start", stream=pipe.stream)
    assert len(own_logging.handlers) == 1
    system.stop()
    assert own_logging.handlers == before
    assert own_logging.level == logging.CRITICAL
    assert logging.getLogger("test.setup").level == logging.NOTSET


def test_half_a_line_is_ended_before_the_next_one(tmp_path: Path) -> None:
    """A disk that was full in the middle of a line does not glue two lines together when there is room again."""
    path = tmp_path / "log"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with path.open("w") as file:
        system = start_logging(config(), command="start", stream=file)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (200, before[1]))
            for number in range(3):
                get_logger("test").info("x" * 50, n=number)
            deadline = time.monotonic() + 5
            while not system.queue.dropped and time.monotonic() < deadline:
                time.sleep(0.001)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, ignored)
        get_logger("test").info("after")
        assert system.stop()
    rows = path.read_text().splitlines()
    assert json.loads(rows[-1])["message"] == "after"
    assert json.loads(rows[-2])["message"] == "log lines dropped"
