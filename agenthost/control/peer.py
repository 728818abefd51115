"""Who is at the other end of a unix socket. Asked by the host of a command, and by a command of its host."""

import os
import socket
import struct

_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid


def is_own_user(connection: socket.socket) -> bool:
    """Whether the peer runs as this process's user or as root. Where the system does not tell, the mode decides."""
    credentials = _credentials(connection)
    return credentials is None or credentials[1] in (os.getuid(), 0)


def _credentials(connection: socket.socket) -> tuple[int, int, int] | None:
    """Pid and user of the process that connected (or listens); None where there is no SO_PEERCRED (macOS)."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    pid, uid, gid = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size))
    return pid, uid, gid
