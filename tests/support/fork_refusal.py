"""Has the kernel refuse forks to a process and all its descendants (EAGAIN), on and off as a test likes. Linux.

A seccomp filter hands every clone to this process, which lets it pass or answers with EAGAIN. It needs no privileges,
and root is refused like everybody else, whom RLIMIT_NPROC would not stop. Threads of the victims are refused, too.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import select
import socket
import struct
import sys
import threading
from collections.abc import Callable
from pathlib import Path

_NUMBERS = {"x86_64": (0xC000003E, (56, 57, 58, 435)), "aarch64": (0xC00000B7, (220, 435))}
"""Per machine: its audit number, and those of clone, fork, vfork and clone3."""

_SECCOMP = {"x86_64": 317, "aarch64": 277}
_RECEIVE, _SEND = 0xC0502100, 0xC0182101  # SECCOMP_IOCTL_NOTIF_RECV, _SEND
_NOTIFICATION, _ANSWER = struct.Struct("=QIIiIQ6Q"), struct.Struct("=QqiI")
_CONTINUE = 1
_JUMP_IF, _RETURN, _LET_PASS, _ASK = 0x15, 0x06, 0x7FFF0000, 0x7FC00000
_NO_NEW_PRIVILEGES = 38


class ForkRefusal:
    """`with ForkRefusal(socket) as refusal`: what is started with `refusal.program(...)` asks for each fork and thread.

    socket     where the programs find us; any short path that is free
    refuses    whether process `pid` shall not have it; may be replaced at any time
    refused    how many they did not get
    """

    def __init__(self, path: Path) -> None:
        self.refuses: Callable[[int], bool] = lambda pid: False
        self.refused = 0
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()

    def __enter__(self) -> "ForkRefusal":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._path.unlink()

    def program(self, *command: str) -> tuple[str, ...]:
        """`command`, started under the filter."""
        return (sys.executable, __file__, str(self._path), *command)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return  # closed
            with client:
                _, received, _, _ = socket.recv_fds(client, 1, 1)
            for listener in received:
                threading.Thread(target=self._answer, args=(listener,), daemon=True).start()

    def _answer(self, listener: int) -> None:
        wanted = select.poll()
        wanted.register(listener, select.POLLIN)
        while all(event & select.POLLIN for _, event in wanted.poll()):
            with contextlib.suppress(FileNotFoundError):  # it was killed while it waited
                self._answer_one(listener)
        os.close(listener)  # nobody is under the filter any more

    def _answer_one(self, listener: int) -> None:
        buffer = bytearray(_NOTIFICATION.size)
        fcntl.ioctl(listener, _RECEIVE, buffer)
        identity, pid, *_ = _NOTIFICATION.unpack(buffer)
        refused = self.refuses(pid)
        self.refused += refused
        answer = _ANSWER.pack(identity, 0, -errno.EAGAIN if refused else 0, 0 if refused else _CONTINUE)
        fcntl.ioctl(listener, _SEND, bytearray(answer))


def _launch(path: str, command: list[str]) -> None:
    """In the process to be: install the filter, hand its listener over, become the program."""
    with socket.socket(socket.AF_UNIX) as channel:
        channel.connect(path)
        listener = _install()
        socket.send_fds(channel, [b"!"], [listener])
        os.close(listener)
    os.execv(command[0], command)


def _install() -> int:
    """Have every fork of this process and its descendants asked for; the descriptor on which they are."""
    machine = os.uname().machine
    audit, numbers = _NUMBERS[machine]
    last = len(numbers)
    load_machine, load_number = (0x20, 0, 0, 4), (0x20, 0, 0, 0)
    rows = [load_machine, (_JUMP_IF, 0, last + 1, audit), load_number]
    rows += [(_JUMP_IF, last - place, 0, number) for place, number in enumerate(numbers)]
    rows += [(_RETURN, 0, 0, _LET_PASS), (_RETURN, 0, 0, _ASK)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *row) for row in rows))
    filter_ = ctypes.create_string_buffer(struct.pack("@HxxxxxxP", len(rows), ctypes.addressof(program)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):  # whoever can gain none may filter itself
        raise OSError(ctypes.get_errno(), "prctl")
    listener = int(libc.syscall(_SECCOMP[machine], 1, 8, filter_))  # set a filter; give a listener
    if listener < 0:
        raise OSError(ctypes.get_errno(), "seccomp with a listener")
    return listener


if __name__ == "__main__":
    _launch(sys.argv[1], sys.argv[2:])
