"""The two ways a process comes to be: forked from an agent template, or exec'd with an interpreter of its own.

Runs on the host's loop. Both give the same process the same ends and the same first messages, so nothing above this
module knows which it was.
"""

import asyncio
import itertools
import os
import sys
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from agenthost import kernel
from agenthost.errors import ProcessFailed
from agenthost.ipc.messages import CodeSpec, ForkProcess, TemplateSpec
from agenthost.processes.base_exec import HostIdentity
from agenthost.processes.child_process import START_ATTEMPTS, ChildProcess, TemplateGone
from agenthost.processes.ends import ProcessEnds
from agenthost.processes.nameless_file import NamelessFile
from agenthost.processes.templates import Template
from agenthost.values import Discreet

P = TypeVar("P", bound=ChildProcess)


class OwnCode(Struct, frozen=True, kw_only=True):
    """The user's own code of a generation: what to import, and the file that its first process leaves it in compiled.

    `learns`: the process to be started is that one.
    """

    spec: CodeSpec
    file: NamelessFile
    learns: bool


class Starter(Protocol):
    """Starts one process; `process.started` tells when it exists, or why it never will."""

    async def start(self, process: ChildProcess, kind: str) -> None:
        """`kind` is job or hook. Raises ProcessFailed when the host itself cannot (no descriptors)."""


async def start_process(starter: Starter, kind: str, make: Callable[[], P]) -> P:
    """A process that exists, of those that `make` describes; when a template dies under it, the next one is asked.

    Raises ProcessFailed. Whoever is cancelled leaves none behind.
    """
    for attempt in itertools.count(1):
        process = make()
        try:
            await starter.start(process, kind)
            await asyncio.shield(process.started)
            return process
        except TemplateGone:
            if attempt == START_ATTEMPTS:
                raise
        except BaseException:
            process.discard()
            raise
    raise AssertionError("unreachable")


class ForkStarter(Discreet, frozen=True, kw_only=True):
    """Forks from a loaded template: 1 to 4 ms, and only what the process writes to is its own memory."""

    not_shown = frozenset({"credentials"})

    template: Template
    code: OwnCode
    open_files: int | None
    log_level: str
    log_levels: Mapping[str, str]
    credentials: Mapping[str, str]

    async def start(self, process: ChildProcess, kind: str) -> None:
        ends = ProcessEnds.open(file=self.code.file.descriptor)
        process.open(ends)
        request = ForkProcess(
            number=process.number,
            kind=kind,
            code=self.code.spec,
            learns=self.code.learns,
            open_files=self.open_files,
            log_level=self.log_level,
            log_levels=self.log_levels,
            credentials=self.credentials,
        )
        self.template.fork(request, ends, process)


class SpawnStarter(Discreet, frozen=True, kw_only=True):
    """Execs an interpreter that imports libraries, too: a second of CPU, tens of megabytes, but no fork."""

    not_shown = frozenset({"credentials"})

    spec: TemplateSpec
    code: OwnCode
    identity: HostIdentity
    open_files: int | None
    credentials: Mapping[str, str]

    async def start(self, process: ChildProcess, kind: str) -> None:
        ends = ProcessEnds.open(file=self.code.file.descriptor)
        process.open(ends)
        try:
            self._exec(process, ends)
        except OSError as error:
            raise ProcessFailed(f"a process cannot be started: {error.strerror}") from error
        finally:
            ends.close_theirs()
        limit = self.open_files or self.identity.open_files
        request = ForkProcess(
            number=process.number,
            kind=kind,
            spec=self.spec,
            code=replace(self.code.spec, prewarm_shared=False),  # there is nobody to share it with
            learns=self.code.learns,
            open_files=limit,
            log_level=self.spec.log_level,
            log_levels=self.spec.log_levels,
            credentials=self.credentials,
        )
        process.send(request)

    def _exec(self, process: ChildProcess, ends: ProcessEnds) -> None:
        channel, stdout, stderr, log, file = ends.theirs
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-P", "-m", "agenthost.child.spawn_main"],
            {**self.spec.env, kernel.MARKER: self.identity.host_id, kernel.PROCESS_NUMBER: str(process.number)},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, stdout, 1),
                (os.POSIX_SPAWN_DUP2, stderr, 2),
                (os.POSIX_SPAWN_DUP2, channel, 3),
                (os.POSIX_SPAWN_DUP2, log, 4),
                (os.POSIX_SPAWN_DUP2, file, 5),
            ],
            setsigmask=kernel.HELD_BACK,
        )
        process.adopt(pid)
