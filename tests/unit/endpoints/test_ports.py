"""Why one cannot listen, in words."""

import errno
import socket

import pytest

from agenthost.config.model import HttpConfig
from agenthost.endpoints.ports import refusal

LISTEN = HttpConfig(host="192.0.2.1", port=80)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EACCES, "Permission denied"), "only root may listen on 192.0.2.1:80"),
        (OSError(errno.EADDRNOTAVAIL, "x"), "192.0.2.1 is not an address of this machine"),
        (socket.gaierror(socket.EAI_NONAME, "x"), "the host name 192.0.2.1 cannot be resolved"),
        (OSError(errno.EMFILE, "Too many open files"), "cannot listen on 192.0.2.1:80: Too many open files"),
    ],
)
def test_each_cause_has_its_words_and_the_same_hint(error: OSError, words: str) -> None:
    """What cannot be had, why, and where to change it."""
    text = refusal(LISTEN, error)
    assert words in text
    assert "`http.listen`" in text


def test_owner_of_a_port_is_named() -> None:
    """This test holds the port: its own name and pid are in the message."""
    import os

    import psutil

    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = HttpConfig(host="127.0.0.1", port=taken.getsockname()[1])
        text = refusal(listen, OSError(errno.EADDRINUSE, "x"))
    assert f"{psutil.Process().name()} (pid {os.getpid()})" in text


def test_owner_that_cannot_be_seen_is_another_process() -> None:
    """Processes of other users have no pid for us; the sentence is whole without it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        listen = HttpConfig(host="127.0.0.1", port=free.getsockname()[1])
        assert "is taken by another process;" in refusal(listen, OSError(errno.EADDRINUSE, "x"))
