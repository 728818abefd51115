"""`JobProcess`: what a prewarm function is given, and what `ctx.proc` is. Runs in templates and job processes."""

import os
from typing import Any


class JobProcess:
    """The process that a job runs in; it serves one job and ends with it."""

    def __init__(self, userdata: dict[str, Any] | None = None) -> None:
        self._userdata: dict[str, Any] = {} if userdata is None else userdata

    @property
    def pid(self) -> int:
        """The process id, as the log shows it."""
        return os.getpid()

    @property
    def userdata(self) -> dict[str, Any]:
        """Where prewarm leaves what the job shall find: models, clients, tables. Empty at first."""
        return self._userdata
