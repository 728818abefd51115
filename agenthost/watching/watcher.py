"""Tells when watched files have really changed. Runs on the host's loop; other threads only wake it up.

`Watcher` calls back once for each settled burst of edits, with the files whose content differs from what it was at
the last call (or when they were first watched).
"""

from collections.abc import Callable, Collection
from pathlib import Path


class Watcher:
    """`on_change` is called on the loop with the files that were edited, made or deleted since the last call.

    debounce  seconds for which nothing may have happened to the watched files before they are looked at
    """

    def __init__(self, on_change: Callable[[frozenset[Path]], None], *, debounce: float) -> None:
        raise NotImplementedError

    def watch(
        self, paths: Collection[Path], *, code_folders: Collection[Path] = (), since: float | None = None
    ) -> None:
        """Replace what is watched; what was watched before goes on without a gap.

        paths         files, and folders of which any file counts; they need not exist
        code_folders  folders in which any `*.py` counts
        since         when the files were read, in seconds since the epoch, if before this call: a new one that was
                      written later counts as changed
        """
        raise NotImplementedError

    def start(self) -> None:
        """Begin; needs a running loop."""
        raise NotImplementedError

    def stop(self) -> None:
        """No call comes after this one."""
        raise NotImplementedError
