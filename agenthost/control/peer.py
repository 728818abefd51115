"""Who is at the other end of a unix socket. Asked by the host of a command, and by a command of its host."""

import os
import socket
import struct

from agenthost import kernel

_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid


def is_own_user(connection: socket.socket) -> bool:
    """Whether the peer runs as this process's user or as root. Where the system does not tell, the mode decides."""
    credentials = _credentials(connection)
    return credentials is None or credentials[1] in (os.getuid(), 0)


def is_descendant(connection: socket.socket) -> bool:
    """Whether the process that connected was started, through however many others, by this one.

    Also when it has ended meanwhile, and nobody can tell: who asks for something waits for the answer. Every orphan
    below a host becomes its child, so that no job gets out of this.
    """
    credentials = _credentials(connection)
    return credentials is not None and kernel.is_below(credentials[0], os.getpid()) is not False


def _credentials(connection: socket.socket) -> tuple[int, int, int] | None:
    """Pid and user of the process that connected (or listens); None where there is no SO_PEERCRED (macOS)."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    pid, uid, gid = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size))
    return pid, uid, gid
