"""A process imports the user's own code: `import_own`. Runs in job, hook and main processes, forked or spawned.

What that code makes when it is imported is this process's alone: connections, loops, threads, random numbers.
"""

import multiprocessing
import os
from collections.abc import Callable

from msgspec import Struct

from agenthost.child.agent_code import AgentCode, load_code, reported
from agenthost.child.code_snapshot import CodeSnapshot
from agenthost.child.import_record import ImportRecord
from agenthost.child.process_setup import reset_signals
from agenthost.child.user_modules import user_modules
from agenthost.ipc.messages import ForkProcess, Ready
from agenthost.logs import pipe_handler


class Learning:
    """Begun before anything of the user's is imported, from `file` what is in there; `report` once all is.

    Only a process that `learns` has anything to tell. `alone`: no template has imported anything for it, so all that
    there is counts.
    """

    def __init__(self, request: ForkProcess, file: int | None, *, alone: bool = False) -> None:
        self._learns = request.learns
        self.file = file if request.learns else None
        self._snapshot = CodeSnapshot(file)
        self._record = ImportRecord()
        self._snapshot.install(learns=request.learns)
        if request.learns:
            self._record.begin(alone=alone)

    def report(self, code: AgentCode, functions: bytes = b"") -> Ready:
        """`functions` is what a main process hands over."""
        if not self._learns:
            return Ready()
        self._snapshot.save()
        libraries = self._record.end()
        modules = user_modules(self._record.new().values())
        return Ready(code=reported(code), modules=modules, libraries=libraries, functions=functions)


class Imported(Struct, frozen=True, kw_only=True):
    """`report` makes the Ready, once all is imported that the process needs."""

    code: AgentCode
    report: Callable[[], Ready]


def import_own(request: ForkProcess, learning: Learning) -> Imported:
    """Import what `request` names. Raises EntrypointError."""
    assert request.code is not None
    multiprocessing.current_process().name = f"agenthost-{request.kind}-{request.number}"  # it is no MainProcess
    code = load_code(request.code)
    # The import may have put another server's in their place (`load_dotenv(override=True)`): the job is on the host's.
    os.environ.update(request.credentials)
    # As after the import in a template: what careless modules did there is the same for no job.
    reset_signals()
    pipe_handler.set_levels(request.log_level, request.log_levels)
    return Imported(code=code, report=lambda: learning.report(code))
