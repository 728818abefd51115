"""A script's child processes with an interpreter of their own (`spawn`, `forkserver`): the door is there, too.

Runs in a script's main process, and in such children of it. A forked child has the door of its parent; one of these
imports livekit-agents anew, and its `cli.run_app(…)` would be a second worker behind the host's back. So there is
something for each child among what multiprocessing prepares it with that is the door as soon as the child reads it.
"""

from collections.abc import Callable
from multiprocessing import reduction, spawn
from typing import Any

OpenDoor = Callable[..., None]


class DoorInChildren:
    """`open_door` is called in each child, before the script is imported, with `what` and then the descriptors there.

    Both must be what `pickle` knows by name or value.
    """

    def __init__(self, open_door: OpenDoor, what: bytes, descriptors: tuple[int, ...]) -> None:
        self._open_door = open_door
        self._what = what
        self._descriptors = descriptors

    def install(self) -> None:
        """For all children from now on."""
        prepare: Callable[[str], dict[str, Any]] = spawn.get_preparation_data

        def get_preparation_data(name: str) -> dict[str, Any]:
            return {"agenthost": self, **prepare(name)}

        setattr(spawn, "get_preparation_data", get_preparation_data)  # noqa: B010  what it is typed as, it is not

    def __reduce__(self) -> Any:
        ends = tuple(reduction.DupFd(descriptor) for descriptor in self._descriptors)
        return _open, (self._open_door, self._what, ends)


def _open(open_door: OpenDoor, what: bytes, ends: tuple[Any, ...]) -> None:
    open_door(what, *(end.detach() for end in ends))
