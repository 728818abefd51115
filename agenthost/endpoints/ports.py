"""Why an address cannot be listened on, in words. Runs in the host, only after it failed."""

import errno
import socket

from agenthost.config.model import HttpConfig

_HINT = "set `http.listen` to another address, or to `none`"


def refusal(listen: HttpConfig, error: OSError) -> str:
    """One sentence: what cannot be had, why, what to do. A port's owner is named where the system tells it."""
    where = f"{listen.host}:{listen.port}"
    if error.errno == errno.EADDRINUSE:
        return f"HTTP: port {listen.port} of {listen.host} is taken by {_owner(listen.port)}; {_HINT}"
    if error.errno == errno.EACCES:
        return f"HTTP: only root may listen on {where}; {_HINT} (ports from 1024 are free for all)"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"HTTP: {listen.host} is not an address of this machine; {_HINT}"
    if isinstance(error, socket.gaierror):
        return f"HTTP: the host name {listen.host} cannot be resolved; {_HINT}"
    return f"HTTP: cannot listen on {where}: {error.strerror or error}; {_HINT}"


def _owner(port: int) -> str:
    import psutil

    try:
        owners = {
            connection.pid
            for connection in psutil.net_connections(kind="tcp")
            if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
        }
        names = [f"{psutil.Process(pid).name()} (pid {pid})" for pid in sorted(filter(None, owners))]
    except psutil.Error:  # another user's process, or it has just ended
        names = []
    return ", ".join(names) or "another process"
