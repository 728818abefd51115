"""The descriptors between the host and one of its processes: a channel and three pipes, both ends.

Made in the host, where nothing is inheritable; `theirs` travel to a template as SCM_RIGHTS or into a spawned process.
"""

import os
import socket

from msgspec import Struct

from agenthost.errors import ProcessFailed
from agenthost.ipc.messages import PACKET_BYTES


class ProcessEnds(Struct, frozen=True, kw_only=True):
    """`stdout`, `stderr`, `log` are the ends we read; `theirs` is (channel, stdout, stderr, log) for the process.

    A file that comes along is the fifth.
    """

    channel: socket.socket
    stdout: int
    stderr: int
    log: int
    theirs: tuple[int, ...]

    @classmethod
    def open(cls, *, packets: bool = False, file: int | None = None) -> "ProcessEnds":
        """New ends; `packets` makes the channel keep message borders (templates). Raises ProcessFailed without fds.

        `file` comes along as a descriptor of its own.
        """
        kind = socket.SOCK_SEQPACKET if packets else socket.SOCK_STREAM
        opened: list[int] = []
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
            if packets:
                for end in (ours, theirs):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PACKET_BYTES)
            opened += [ours.detach(), theirs.detach()]
            for _ in range(3):
                opened += os.pipe()
            opened += [os.dup(file)] if file is not None else []
        except OSError as error:
            for descriptor in opened:
                os.close(descriptor)
            raise ProcessFailed(f"no descriptors for another process: {error.strerror}") from error
        channel, their_channel, out_r, out_w, err_r, err_w, log_r, log_w, *files = opened
        return cls(
            channel=socket.socket(fileno=channel),
            stdout=out_r,
            stderr=err_r,
            log=log_r,
            theirs=(their_channel, out_w, err_w, log_w, *files),
        )

    def close_theirs(self) -> None:
        """After they were sent or inherited: a pipe is at its end only when no writing end is open here."""
        for descriptor in self.theirs:
            os.close(descriptor)
