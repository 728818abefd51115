"""How processes are that may end at any moment."""

import psutil

ENDED = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)


def state_of(process: psutil.Process) -> str:
    """What psutil calls its status; dead when it has ended since it was listed."""
    try:
        return str(process.status())
    except psutil.NoSuchProcess:
        return str(psutil.STATUS_DEAD)


def zombies(pid: int) -> list[int]:
    """The pids of all processes below `pid` that have ended and nobody has reaped."""
    below = psutil.Process(pid).children(recursive=True)
    return [child.pid for child in below if state_of(child) == psutil.STATUS_ZOMBIE]
