"""The relay: real pipes of real processes become lines that say whose they are."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from agenthost.logs import relay
from agenthost.logs.lines import LogLine, encode_line
from agenthost.logs.queue import LineHandler, LineQueue
from agenthost.logs.relay import OutputRelay
from tests.support.polling import poll
from tests.unit.logs.conftest import Collector


@dataclass
class Pipes:
    """A relay, and the ends that a process would have."""

    relay: OutputRelay
    stdout: int
    stderr: int
    log: int

    def close(self) -> None:
        for fd in (self.stdout, self.stderr, self.log):
            os.close(fd)

    async def finish(self) -> None:
        self.close()
        await asyncio.wait_for(self.relay.drained(), 10)


def open_pipes(**fields: object) -> Pipes:
    (out, stdout), (err, stderr), (records, log) = os.pipe(), os.pipe(), os.pipe()
    return Pipes(relay=OutputRelay(out, err, records, fields=fields), stdout=stdout, stderr=stderr, log=log)


@pytest.fixture
async def pipes() -> AsyncIterator[Pipes]:
    """A relay of agent `support`, process 7."""
    pipes = open_pipes(agent="support", pid=7)
    yield pipes
    pipes.relay.close()


def record(message: str, **fields: object) -> bytes:
    return encode_line(LogLine(created=12.5, level=10, logger="app", message=message, fields=fields, traceback="T"))


async def test_line_of_stdout_is_an_info_with_its_owner(pipes: Pipes, collected: Collector) -> None:
    """A print says which agent and process printed it."""
    os.write(pipes.stdout, b"hello\nworld\n")
    await pipes.finish()
    assert [(line.logger, line.level, line.message) for line in collected.lines] == [
        ("stdout", logging.INFO, "hello"),
        ("stdout", logging.INFO, "world"),
    ]
    assert collected.lines[0].fields == {"agent": "support", "pid": 7}


async def test_record_keeps_level_logger_time_and_fields(pipes: Pipes, collected: Collector) -> None:
    """What user code logs arrives as it was logged."""
    os.write(pipes.log, record("ready", tokens=5))
    await pipes.finish()
    (line,) = collected.lines
    assert (line.created, line.level, line.logger, line.message, line.traceback) == (12.5, 10, "app", "ready", "T")
    assert line.fields == {"agent": "support", "pid": 7, "tokens": 5}


async def test_job_and_room_are_on_the_lines_after_bind(pipes: Pipes, collected: Collector) -> None:
    """A process has no job before it is given one."""
    os.write(pipes.stdout, b"warming up\n")
    await poll(lambda: collected.lines, timeout=5)
    pipes.relay.bind(job_id="AJ_1", room="r")
    os.write(pipes.stdout, b"serving\n")
    await pipes.finish()
    assert [line.fields.get("job_id") for line in collected.lines] == [None, "AJ_1"]


async def test_process_cannot_pass_for_another_job(pipes: Pipes, collected: Collector) -> None:
    """A field of user code with a name of ours comes under another name."""
    pipes.relay.bind(job_id="AJ_1")
    os.write(pipes.log, record("x", job_id="AJ_2", room="mine"))
    await pipes.finish()
    assert collected.lines[0].fields == {
        "agent": "support",
        "pid": 7,
        "job_id": "AJ_1",
        "job_id_": "AJ_2",
        "room": "mine",
    }


async def test_lines_of_stderr_that_come_together_are_one_warning(pipes: Pipes, collected: Collector) -> None:
    """A native library's message of several lines is not torn apart."""
    os.write(pipes.stderr, b"ALSA lib:\n  no card\n")
    await poll(lambda: collected.lines, timeout=5)
    os.write(pipes.stderr, b"later\n")
    await pipes.finish()
    assert [(line.level, line.message) for line in collected.lines] == [
        (logging.WARNING, "ALSA lib:\n  no card"),
        (logging.WARNING, "later"),
    ]


async def test_traceback_on_stderr_is_one_error_named_by_its_last_line(pipes: Pipes, collected: Collector) -> None:
    """An uncaught exception of a thread reads like one that was logged."""
    text = b'Exception in thread T:\nTraceback (most recent call last):\n  File "a.py", line 1\nValueError: boom\n'
    for piece in text.splitlines(keepends=True):
        os.write(pipes.stderr, piece)
        await asyncio.sleep(0)
    await pipes.finish()
    (line,) = collected.lines
    assert (line.logger, line.level, line.message) == ("stderr", logging.ERROR, "ValueError: boom")
    assert line.traceback == text.decode().rstrip()


async def test_records_on_stderr_are_told_apart(pipes: Pipes, collected: Collector) -> None:
    """Written at once, as loguru does: each with its level, and a traceback with the record that it belongs to."""
    at = "2026-11-29 18:20:41.107 | "
    traceback = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\nValueError: boom'
    text = f"{at}DEBUG | a - one\n{at}ERROR | a - two\n{traceback}\n{at}INFO | a - three\nmore\n"
    os.write(pipes.stderr, text.encode())
    await pipes.finish()
    assert [(line.level, line.message, line.traceback) for line in collected.lines] == [
        (logging.DEBUG, f"{at}DEBUG | a - one", ""),
        (logging.ERROR, f"{at}ERROR | a - two", traceback),
        (logging.INFO, f"{at}INFO | a - three\nmore", ""),
    ]


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_json_objects_are_fields_and_cannot_forge_ours(pipes: Pipes, collected: Collector, stream: str) -> None:
    """Also while the process has no job yet whose id would be in the way."""
    lines = b'{"event": "took", "level": "error", "job_id": "AJ_2", "pid": 1, "n": 5}\n{"event": "gave"}\n'
    os.write(getattr(pipes, stream), lines)
    await pipes.finish()
    first, second = collected.lines
    assert (first.logger, first.level, first.message) == (stream, logging.ERROR, "took")
    assert first.fields == {"agent": "support", "pid": 7, "job_id_": "AJ_2", "pid_": 1, "n": 5}
    assert second.message == "gave"


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        (b"10%\r50%\r100%\n", ["100%"]),
        (b"dos\r\n", ["dos"]),
        (b"\n  \n\n", []),
        (b"\xff\xfeab\n", ["\ufffd\ufffdab"]),
        ("grün\n".encode(), ["grün"]),
        (b"no newline", ["no newline"]),
    ],
)
async def test_printed_bytes_become_text(pipes: Pipes, collected: Collector, printed: bytes, shown: list[str]) -> None:
    """What a terminal would show, in any encoding; empty lines say nothing."""
    os.write(pipes.stdout, printed)
    await pipes.finish()
    assert collected.messages == shown


async def test_bytes_on_the_log_pipe_that_are_no_record_are_told_as_text(pipes: Pipes, collected: Collector) -> None:
    """A program that inherited the pipe can write to it; nothing is swallowed and nothing breaks."""
    os.write(pipes.log, b"not json\n" + record("after"))
    await pipes.finish()
    assert collected.messages == ["not json", "after"]


async def test_level_of_logger_stdout_holds_for_prints(
    pipes: Pipes, collected: Collector, own_logging: logging.Logger
) -> None:
    """`log_levels: {stdout: ERROR}` silences prints, and `log_level` holds for them as for all."""
    logging.getLogger("stdout").setLevel(logging.ERROR)
    own_logging.setLevel(logging.WARNING)
    os.write(pipes.stdout, b"chatter\n")
    os.write(pipes.stderr, b"trouble\n")
    await pipes.finish()
    assert collected.messages == ["trouble"]


async def test_drained_waits_for_all_three_and_the_last_line(pipes: Pipes, collected: Collector) -> None:
    """When a job's end is logged, everything it said is in the log before."""
    os.write(pipes.stdout, b"x\n" * 1000)
    os.close(pipes.stdout)
    os.close(pipes.log)
    waiting = asyncio.ensure_future(pipes.relay.drained())
    await poll(lambda: len(collected.lines) == 1000, timeout=5)
    assert not waiting.done()
    os.write(pipes.stderr, b"last")
    os.close(pipes.stderr)
    await asyncio.wait_for(waiting, 5)
    assert collected.messages[-1] == "last"


async def test_close_ends_a_relay_whose_pipes_never_end(pipes: Pipes, collected: Collector) -> None:
    """A child that a job left behind holds the pipes open; what was read is still told, once."""
    os.write(pipes.stdout, b"half a line")
    os.write(pipes.stderr, b"trouble\n")
    await asyncio.sleep(0)  # one turn, in which the loop reads both
    await asyncio.sleep(0)
    pipes.relay.close()
    pipes.relay.close()
    await asyncio.wait_for(pipes.relay.drained(), 5)
    pipes.close()
    assert sorted(collected.messages) == ["half a line", "trouble"]


async def test_relay_closes_its_descriptors(collected: Collector) -> None:
    """A thousand jobs leave no descriptor open."""
    before = os.listdir("/proc/self/fd")
    pipes = open_pipes()
    await pipes.finish()
    assert os.listdir("/proc/self/fd") == before


async def test_lines_wait_in_front_of_a_congested_log(
    own_logging: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that floods the log leaves room for the host's own lines and loses only its own oldest."""
    monkeypatch.setattr(relay, "_CONGESTION_SECONDS", 0.001)
    queue = LineQueue(max_lines=100)
    own_logging.handlers[:] = [LineHandler(queue)]
    own_logging.setLevel(logging.DEBUG)
    pipes = open_pipes(agent="noisy")
    os.write(pipes.stdout, b"x\n" * 500)
    await poll(lambda: queue.congested, timeout=5)
    for _ in range(20):
        await asyncio.sleep(0)
    logging.getLogger("test").info("from the host")
    assert queue.dropped == 0
    taken = []
    while "from the host" not in taken:
        taken += [item.message for item in queue.take() or [] if isinstance(item, LogLine)]
    finishing = asyncio.ensure_future(pipes.finish())
    while not finishing.done():
        await asyncio.sleep(0.001)
        if queue._items:
            taken += [item.message for item in queue.take() or [] if isinstance(item, LogLine)]
    queue.close()
    taken += [item.message for item in queue.take() or [] if isinstance(item, LogLine)]
    assert taken.count("x") == 500


async def test_process_that_says_too_much_loses_its_oldest_lines_and_is_told_how_many(
    own_logging: logging.Logger,
) -> None:
    """Over 1 MiB of waiting lines the oldest go; one line with the owner's fields says how many went."""
    queue = LineQueue(max_lines=4000)
    own_logging.handlers[:] = [LineHandler(queue)]
    own_logging.setLevel(logging.INFO)
    for _ in range(2100):
        queue.put(LogLine(created=0.0, level=20, logger="test", message="before", fields={}))
    pipes = open_pipes(agent="noisy", pid=7)
    for start in range(0, 3000, 20):
        os.write(pipes.stdout, b"".join(b"%04d " % number + b"x" * 1000 + b"\n" for number in range(start, start + 20)))
        await asyncio.sleep(0)
    for _ in range(9):  # batches of 256: the log is free again
        queue.take()
    await pipes.finish()
    queue.close()
    lines = []
    while batch := queue.take():
        lines += [line for line in batch if isinstance(line, LogLine) and line.message != "before"]
    assert lines.pop().fields == {"agent": "noisy", "pid": 7, "count": queue.dropped}
    assert [int(line.message[:4]) for line in lines] == list(range(queue.dropped, 3000))
    assert queue.dropped > 1500


async def test_log_that_is_stuck_does_not_hold_up_the_end_of_a_job(
    own_logging: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody reads the log: the last lines of a job that has ended wait a bounded time, and then push out others."""
    monkeypatch.setattr(relay, "_PATIENCE_SECONDS", 0.05)
    queue = LineQueue(max_lines=10)
    own_logging.handlers[:] = [LineHandler(queue)]
    own_logging.setLevel(logging.INFO)
    pipes = open_pipes()
    for number in range(20):
        os.write(pipes.stdout, b"%d\n" % number)
    await asyncio.wait_for(pipes.finish(), 5)
    queue.close()
    assert [line.message for line in queue.take() or [] if isinstance(line, LogLine)][-1] == "19"
