"""The bounded queue: it never waits, loses the oldest, and says how many."""

import logging
import threading

from agenthost.logs.banner import Banner
from agenthost.logs.lines import LogLine
from agenthost.logs.queue import Item, LineHandler, LineQueue, running_queue


def line(message: str) -> LogLine:
    return LogLine(created=0.0, level=logging.INFO, logger="test", message=message, fields={})


def said(batch: list[Item] | None) -> list[str]:
    return [f"banner {item.file}" if isinstance(item, Banner) else item.message for item in batch or []]


def test_full_queue_loses_the_oldest_and_says_how_many() -> None:
    """The newest lines tell what is wrong now; the first line of the next batch tells what is missing."""
    queue = LineQueue(max_lines=3)
    for number in range(10):
        queue.put(line(str(number)))
    batch = queue.take()
    assert batch is not None
    assert said(batch) == ["log lines dropped", "7", "8", "9"]
    assert isinstance(batch[0], LogLine)
    assert batch[0].fields == {"count": 7}
    assert queue.dropped == 7


def test_each_loss_is_told_once() -> None:
    """The total goes on counting, the line tells what is new."""
    queue = LineQueue(max_lines=1)
    for message in "abc":
        queue.put(line(message))
    queue.take()
    queue.put(line("d"))
    assert said(queue.take()) == ["d"]
    assert queue.dropped == 2


def test_text_is_bounded_as_well_as_lines() -> None:
    """A few huge lines cost as much memory as many small ones."""
    queue = LineQueue(max_characters=1000)
    for _ in range(5):
        queue.put(line("x" * 400))
    assert len(said(queue.take())) == 1 + 2


def test_line_over_the_limit_of_the_whole_queue_is_dropped() -> None:
    """The bound holds for a single line, too."""
    queue = LineQueue(max_characters=10)
    queue.put(line("x" * 11))
    queue.close()
    assert queue.take() is None
    assert queue.dropped == 1


def test_congested_from_half_full_until_taken() -> None:
    """Jobs' lines are held back early enough that the host's own always find room."""
    queue = LineQueue(max_lines=4)
    states = []
    for message in "abc":
        queue.put(line(message))
        states.append(queue.congested)
    queue.take()
    assert [*states, queue.congested] == [False, False, True, False]


def test_lines_lost_elsewhere_are_told_unless_they_were() -> None:
    """A relay tells its own losses with their owner; a failed write is told by the queue."""
    queue = LineQueue()
    queue.count_dropped(5, told=True)
    queue.count_dropped(2, told=False)
    queue.put(line("a"))
    batch = queue.take()
    assert batch is not None
    assert isinstance(batch[0], LogLine)
    assert batch[0].fields == {"count": 2}
    assert queue.dropped == 7


def test_closed_queue_gives_out_what_is_left() -> None:
    """Ending the log loses nothing that was logged before."""
    queue = LineQueue()
    queue.put(line("a"))
    queue.close()
    assert said(queue.take()) == ["a"]
    assert queue.take() is None


def test_take_waits_for_a_line_of_another_thread() -> None:
    """The writer sleeps until there is something to write."""
    queue = LineQueue()
    taken: list[str] = []
    thread = threading.Thread(target=lambda: taken.extend(said(queue.take())))
    thread.start()
    queue.put(line("a"))
    thread.join(5)
    assert taken == ["a"]


def test_handler_makes_text_of_arguments_at_once() -> None:
    """What a mutable argument becomes after the log call is nobody's line."""
    queue = LineQueue()
    values = [1]
    record = logging.makeLogRecord({"msg": "%s", "args": (values,)})
    LineHandler(queue).handle(record)
    values.append(2)
    assert said(queue.take()) == ["[1]"]


def test_running_queue_is_the_one_behind_the_root_logger(own_logging: logging.Logger) -> None:
    """Without a started log there is none."""
    assert running_queue() is None
    handler = LineHandler(LineQueue())
    own_logging.addHandler(handler)
    assert running_queue() is handler.queue
