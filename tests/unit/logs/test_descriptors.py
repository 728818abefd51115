"""Writing to descriptors that others have a hold of."""

import os
import threading

from agenthost.logs.descriptors import write_all


def test_non_blocking_pipe_is_waited_for() -> None:
    """Somebody who shares our terminal may have made it non-blocking; no byte is lost by that."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    data = bytes(range(256)) * 4096
    received = bytearray()
    with open(reader, "rb", buffering=0) as file:
        thread = threading.Thread(target=lambda: received.extend(file.readall() or b""))
        thread.start()
        written = write_all(writer, data)
        os.close(writer)
        thread.join(5)
    assert written == len(data)
    assert received == data


def test_broken_pipe_is_reported_not_raised() -> None:
    """Nobody reads any more: the caller learns how much was written."""
    reader, writer = os.pipe()
    os.close(reader)
    assert write_all(writer, b"x") == 0
    os.close(writer)


def test_closed_descriptor_is_reported_not_raised() -> None:
    """The same for a descriptor that is gone."""
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    assert write_all(writer, b"x") == 0
