"""Who is at the other end of a unix socket. Asked by the host of a command, and by a command of its host."""

import os
import socket
import struct

_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid


def is_own_user(connection: socket.socket) -> bool:
    """Whether the peer runs as this process's user or as root. Where the system does not tell, the mode decides."""
    uid = peer_uid(connection)
    return uid is None or uid in (os.getuid(), 0)


def peer_uid(connection: socket.socket) -> int | None:
    """The user of the process that connected (or listens); None where the system has no SO_PEERCRED (macOS)."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    data = connection.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(data)[1])
