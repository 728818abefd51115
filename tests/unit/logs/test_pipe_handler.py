"""The log of a process of user code, with whatever that code does to `logging`."""

import io
import logging
import logging.config
import os
import sys
import threading
from collections.abc import Callable, Iterator

import pytest
from rich.logging import RichHandler

from agenthost.logs import pipe_handler
from agenthost.logs.events import get_logger
from agenthost.logs.lines import MAX_LINE, LogLine, decode_line


class LogPipe:
    """The pipe as the host sees it."""

    def __init__(self) -> None:
        self.reader, self.fd = os.pipe()
        os.set_blocking(self.reader, False)

    def lines(self) -> list[LogLine]:
        """What was logged since the last call."""
        data = bytearray()
        try:
            while piece := os.read(self.reader, 65536):
                data += piece
        except BlockingIOError:
            pass
        return [decode_line(row) for row in data.splitlines()]

    def messages(self) -> list[str]:
        return [line.message for line in self.lines()]

    def close(self) -> None:
        for fd in (self.reader, self.fd):
            os.close(fd)


@pytest.fixture
def pipe(own_logging: logging.Logger) -> Iterator[LogPipe]:
    """An installed handler at level DEBUG."""
    pipe = LogPipe()
    pipe_handler.install(pipe.fd, level="DEBUG", levels={})
    yield pipe
    pipe.close()


def test_record_goes_to_the_pipe_with_fields_and_traceback(pipe: LogPipe) -> None:
    """Level, logger, text, what `extra=` adds: nothing is lost on the way."""
    try:
        raise ValueError("boom")
    except ValueError:
        logging.getLogger("test.app").exception("failed %d times", 2, extra={"caller": "x"})
    (line,) = pipe.lines()
    assert (line.logger, line.level, line.message) == ("test.app", logging.ERROR, "failed 2 times")
    assert line.fields == {"caller": "x"}
    assert line.traceback.endswith("ValueError: boom")


def test_our_events_take_the_same_way(pipe: LogPipe) -> None:
    """In a job, agenthost logs like user code does."""
    get_logger("job").info("connected", room="r")
    (line,) = pipe.lines()
    assert (line.logger, line.message, line.fields) == ("agenthost.job", "connected", {"room": "r"})


def test_levels_can_be_changed_while_it_runs(pipe: LogPipe) -> None:
    """A reload of the file reaches running jobs."""
    pipe_handler.set_levels("ERROR", {"test.app": "TRACE"})
    logging.getLogger("test.other").warning("unheard")
    logging.getLogger("test.app").log(5, "heard")
    assert pipe.messages() == ["heard"]


def test_libraries_are_quiet_by_themselves(pipe: LogPipe) -> None:
    """DEBUG is for the user's code."""
    logging.getLogger("httpx").info("HTTP Request")
    logging.getLogger("httpx").warning("trouble")
    assert pipe.messages() == ["trouble"]


def test_context_fields_are_on_every_record_and_follow_their_mapping(pipe: LogPipe) -> None:
    """`ctx.log_context_fields["tier"] = ...` shows from the next line on, in libraries' lines too."""
    context: dict[str, object] = {"tier": "gold"}
    pipe_handler.set_context_fields(context)
    logging.getLogger("test.library").info("one")
    context["caller"] = "x"
    logging.getLogger("test.app").info("two", extra={"tier": "own"})
    assert [line.fields for line in pipe.lines()] == [{"tier": "gold"}, {"tier": "own", "caller": "x"}]


def stream_handler() -> logging.Handler:
    return logging.StreamHandler()


def rich_handler() -> logging.Handler:
    from rich.console import Console

    return RichHandler(console=Console(file=sys.stderr))


@pytest.mark.parametrize("make", [stream_handler, rich_handler])
def test_own_handler_on_stderr_does_not_say_lines_twice(
    pipe: LogPipe, capsys: pytest.CaptureFixture[str], make: Callable[[], logging.Handler]
) -> None:
    """Added to the root logger by the application, as it would without agenthost: each line appears once."""
    logging.getLogger().addHandler(make())
    logging.getLogger("test.app").info("hello")
    assert (pipe.messages(), capsys.readouterr().err) == (["hello"], "")


def test_own_handler_on_a_named_logger_does_not_either(pipe: LogPipe, capsys: pytest.CaptureFixture[str]) -> None:
    """Handlers below the root run before ours; even its first line comes once."""
    logging.getLogger("test.app").addHandler(stream_handler())
    logging.getLogger("test.app.part").info("hello")
    assert (pipe.messages(), capsys.readouterr().err) == (["hello"], "")


def test_handler_added_before_the_fork_stays_and_is_passed_over(
    own_logging: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    """A module that configures logging at import does so in the template, before the job's handler is there."""
    handler = stream_handler()
    own_logging.addHandler(handler)
    pipe = LogPipe()
    pipe_handler.install(pipe.fd, level="INFO", levels={})
    logging.getLogger("test.app").info("hello")
    assert (pipe.messages(), capsys.readouterr().err) == (["hello"], "")
    assert handler in own_logging.handlers
    pipe.close()


def test_logger_that_keeps_its_lines_to_itself_prints_them(pipe: LogPipe, capsys: pytest.CaptureFixture[str]) -> None:
    """With `propagate = False` a line never reaches the pipe: its own handler is the only one to tell it."""
    logger = logging.getLogger("test.alone")
    logger.addHandler(stream_handler())
    logger.propagate = False
    logger.info("hello")
    assert (pipe.messages(), capsys.readouterr().err) == ([], "hello\n")


def test_handlers_that_write_elsewhere_are_left_alone(pipe: LogPipe) -> None:
    """A file or an error tracker of the user's gets its lines as ever."""
    elsewhere = io.StringIO()
    logging.getLogger().addHandler(logging.StreamHandler(elsewhere))
    logging.getLogger("test.app").info("hello")
    assert (pipe.messages(), elsewhere.getvalue()) == (["hello"], "hello\n")


def test_basic_config_changes_nothing(pipe: LogPipe, capsys: pytest.CaptureFixture[str]) -> None:
    """`logging.basicConfig()` sees that somebody has configured logging already."""
    logging.basicConfig(level=logging.DEBUG)
    logging.getLogger("test.app").info("hello")
    assert (pipe.messages(), capsys.readouterr().err) == (["hello"], "")


def test_forced_basic_config_prints_once(pipe: LogPipe, capsys: pytest.CaptureFixture[str]) -> None:
    """Who removes our handler gets printed text, once."""
    logging.basicConfig(force=True, format="%(message)s")
    logging.getLogger("test.app").warning("hello")
    assert (pipe.messages(), capsys.readouterr().err) == ([], "hello\n")


@pytest.mark.parametrize("root", [{}, {"root": {"handlers": ["console"]}}])
def test_dict_config_does_not_silence_us(
    pipe: LogPipe, capsys: pytest.CaptureFixture[str], root: dict[str, object]
) -> None:
    """It disables what loggers there are and removes our handler; our own lines come with level and fields, once."""
    log = get_logger("job")
    console = {"class": "logging.StreamHandler", "stream": "ext://sys.stderr"}
    logging.config.dictConfig({"version": 1, "handlers": {"console": console}, **root})
    log.error("failed", room="r")
    assert [(line.level, line.message, line.fields) for line in pipe.lines()] == [
        (logging.ERROR, "failed", {"room": "r"})
    ]
    assert capsys.readouterr().err == ""


def test_installed_again_it_replaces_itself(pipe: LogPipe) -> None:
    """A job has the template's handler at first, and then only its own; context fields start anew."""
    pipe_handler.set_context_fields({"tier": "gold"})
    second = LogPipe()
    pipe_handler.install(second.fd, level="INFO", levels={})
    logging.getLogger("test.app").info("hello")
    assert pipe.messages() == []
    assert [(line.message, line.fields) for line in second.lines()] == [("hello", {})]
    second.close()


def test_broken_pipe_is_ignored(own_logging: logging.Logger) -> None:
    """The host is gone and this process about to end; user code is not to see an error of ours."""
    reader, writer = os.pipe()
    os.close(reader)
    pipe_handler.install(writer, level="INFO", levels={})
    logging.getLogger("test.app").info("hello")
    os.close(writer)


def test_huge_record_is_one_line_of_64_kib(pipe: LogPipe) -> None:
    """Whoever logs a whole file sees its start and a note."""
    logging.getLogger("test.app").info("x" * 1_000_000)
    (line,) = pipe.lines()
    assert len(line.message) < MAX_LINE
    assert "cut" in line.message


def test_lines_of_threads_do_not_mix(pipe: LogPipe) -> None:
    """A line over 4 KiB takes several writes; the handler's lock holds them together."""
    got: list[LogLine] = []
    done = threading.Event()
    reader = threading.Thread(target=lambda: got.extend(_read_until(pipe, done)))
    reader.start()
    threads = [
        threading.Thread(target=lambda: [logging.getLogger("test.app").info("x" * 9000) for _ in range(20)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    os.write(pipe.fd, b"\n")
    reader.join()
    assert [len(line.message) for line in got] == [9000] * 80


def _read_until(pipe: LogPipe, done: threading.Event) -> list[LogLine]:
    data = bytearray()
    os.set_blocking(pipe.reader, True)
    while not (done.is_set() and data.endswith(b"\n\n")):
        data += os.read(pipe.reader, 65536)
    return [decode_line(row) for row in data.splitlines() if row]


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # the very thing that is tried here
def test_forked_process_logs_while_a_thread_of_its_parent_logged(pipe: LogPipe) -> None:
    """A fork in the middle of somebody's log call leaves no lock held."""
    stop = threading.Event()
    noise = threading.Thread(target=lambda: _log_until(stop, pipe))
    noise.start()
    statuses = []
    for _ in range(10):
        pid = os.fork()
        if pid == 0:
            logging.getLogger("test.child").info("from the child")
            os._exit(0)
        statuses.append(os.waitpid(pid, 0)[1])
    stop.set()
    noise.join()
    assert statuses == [0] * 10


def _log_until(stop: threading.Event, pipe: LogPipe) -> None:
    while not stop.is_set():
        logging.getLogger("test.app").info("noise")
        pipe.lines()
