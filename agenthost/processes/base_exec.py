"""Starts the base template, and nothing else: this module is imported and called before anything heavy.

The base imports livekit.rtc while the host reads its file and imports its own libraries; on two cores a start costs
the longer of the two instead of their sum. It is exec'd from the main thread, since PDEATHSIG follows the thread.
"""

import os
import secrets
import sys
from collections.abc import Mapping

from msgspec import Struct

from agenthost import kernel
from agenthost.errors import ProcessFailed
from agenthost.processes.ends import ProcessEnds

THREAD_LIMITS = {
    "OPENBLAS_NUM_THREADS": "1",
    "TOKIO_WORKER_THREADS": "2",
    "MALLOC_ARENA_MAX": "2",
    "ORT_DISABLE_TELEMETRY": "1",  # onnxruntime 1.32 has a thread for it from its import on
}
"""Set unless the user gave them: a 64-core machine otherwise gets some 69 threads a job, and a template with threads
cannot fork."""


class HostIdentity(Struct, frozen=True, kw_only=True):
    """What marks all processes of one host, and the soft limit of open files that they shall have."""

    host_id: str
    open_files: int

    @classmethod
    def take(cls) -> "HostIdentity":
        """A new identity for this process; raises its own limit of open files to what is allowed."""
        return cls(host_id=secrets.token_hex(16), open_files=kernel.raise_open_files())


class BaseProcess(Struct, frozen=True, kw_only=True):
    """An exec'd base that has not been told anything yet; `ends` are ours."""

    identity: HostIdentity
    pid: int
    ends: ProcessEnds


def exec_base(identity: HostIdentity, environment: Mapping[str, str]) -> BaseProcess:
    """Exec the base template, without the API key and secret of `environment`. Raises ProcessFailed."""
    ends = ProcessEnds.open(packets=True)
    channel, stdout, stderr, _ = ends.theirs
    command = [sys.executable, "-P", "-m", "agenthost.child.base_main"]
    command += ["--host-pid", str(os.getpid()), "--host-id", identity.host_id, "--open-files", str(identity.open_files)]
    try:
        pid = os.posix_spawn(
            sys.executable,
            command,
            base_environment(identity, environment),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, stdout, 1),
                (os.POSIX_SPAWN_DUP2, stderr, 2),
                (os.POSIX_SPAWN_DUP2, channel, 3),
            ],
            setsigmask=kernel.HELD_BACK,
        )
    except OSError as error:
        raise ProcessFailed(f"the base template cannot be started: {error.strerror}") from error
    finally:
        ends.close_theirs()
    return BaseProcess(identity=identity, pid=pid, ends=ends)


def base_environment(identity: HostIdentity, environment: Mapping[str, str]) -> dict[str, str]:
    """What every process below a host begins with: its marker and the thread limits, no key and no secret."""
    return {**THREAD_LIMITS, **kernel.without_pair(environment), kernel.MARKER: identity.host_id}
