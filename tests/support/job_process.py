"""Real job and hook processes for tests, forked from a real template; the test plays their host."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from livekit.protocol.agent import Job
from msgspec.structs import asdict

from agenthost.ipc.channel import FrameReader, frame
from agenthost.ipc.messages import CodeSpec, Ended, Message, Ready, StartJob, StopJob, decode
from agenthost.logs.lines import LogLine, decode_line

TIMEOUT = 40.0  # seconds until a test gives up waiting for a process; livekit.rtc takes 30 to give up reconnecting

M = TypeVar("M", bound=Message)


class JobProcess:
    """A process as its host has it. `receive` and `end` raise TimeoutError rather than wait for ever."""

    def __init__(self, template: "JobTemplate", pid: int, channel: socket.socket, log: Path, output: Path) -> None:
        self.pid = pid
        self.exit_code: int | None = None
        self._template = template
        self._channel = channel
        self._reader = FrameReader()
        self._received: list[Message] = []
        self._log = log
        self._output = output

    def send(self, *messages: Message) -> None:
        """All in one write, so that the process may read them at once."""
        self._channel.sendall(b"".join(frame(message) for message in messages))

    def receive(self, kind: type[M]) -> M:
        """The next message of this kind; those before it are passed over."""
        deadline = time.monotonic() + TIMEOUT
        while True:
            message = self._next(deadline)
            assert message is not None, f"the process ended without {kind.__name__}: {self.output}"
            if isinstance(message, kind):
                return message

    def start(self, **changes: Any) -> None:
        """Wait until it is ready and give it a job."""
        self.receive(Ready)
        self.send(start_job(**changes))

    def stop(self, reason: str = "stopped", grace_seconds: float = 0.0, budget_seconds: float | None = None) -> None:
        self.send(StopJob(reason=reason, grace_seconds=grace_seconds, budget_seconds=budget_seconds))

    def rest(self) -> list[Message]:
        """All messages until the process is gone, and its exit code in `exit_code`."""
        messages, deadline = [], time.monotonic() + TIMEOUT
        while (message := self._next(deadline)) is not None:
            messages.append(message)
        self.wait()
        return messages

    def end(self) -> Ended:
        """How the job ended: the last message there is."""
        last = self.rest()[-1:]
        assert last and isinstance(last[0], Ended), f"no last word but {last}: {self.output}"
        return last[0]

    def wait(self) -> int:
        """The exit code of a process that will say nothing more."""
        self.exit_code = self._template.wait(self.pid)
        return self.exit_code

    def close(self) -> None:
        """End it, however far it has come."""
        self._channel.close()
        if self.exit_code is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()

    def hang_up(self) -> None:
        """Be a host that is gone."""
        self._channel.close()

    @property
    def lines(self) -> list[LogLine]:
        """What it has logged so far."""
        return [decode_line(line) for line in self._log.read_bytes().splitlines()]

    def line(self, message: str) -> LogLine:
        """The one log line with this message."""
        found = [line for line in self.lines if line.message == message]
        assert len(found) == 1, f"{len(found)} lines say {message!r}: {[line.message for line in self.lines]}"
        return found[0]

    @property
    def output(self) -> str:
        """What it has written to stdout and stderr so far."""
        return self._output.read_text()

    def _next(self, deadline: float) -> Message | None:
        while not self._received:
            if (left := deadline - time.monotonic()) <= 0:  # a heartbeat a second is no progress
                raise TimeoutError(f"the process says nothing to the point: {[line.message for line in self.lines]}")
            self._channel.settimeout(left)
            try:
                data = self._channel.recv(65536)
            except ConnectionResetError:  # it left without reading all that was sent to it
                data = b""
            if not data:
                return None
            self._received.extend(decode(body) for body in self._reader.feed(data))
        return self._received.pop(0)


class JobTemplate:
    """One template process. `with JobTemplate() as template: process = template.fork(folder, code)`."""

    def __enter__(self) -> "JobTemplate":
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control = ours
        self._control.settimeout(3 * TIMEOUT)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.job_template", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,
            )
        assert self._control.recv(100) == b"ready"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._control.close()
        self._process.wait(TIMEOUT)

    def fork(self, folder: Path, code: str, *, kind: str = "job", log_level: str = "DEBUG", **spec: Any) -> JobProcess:
        """A process that runs `code` as module `agent` (its `entrypoint`); `spec` changes its CodeSpec."""
        module = f"agent_{secrets.token_hex(4)}"
        (folder / f"{module}.py").write_text(textwrap.dedent(code))
        references = {
            key: spec.pop(key).replace("agent:", f"{module}:")
            for key in ("entrypoint", "prewarm", "session_end", "handler", "load")
            if key in spec
        }
        values: dict[str, Any] = {"entrypoint": f"{module}:entrypoint"}
        return self._fork(folder, kind, CodeSpec(**(values | references | spec)), log_level)

    def wait(self, pid: int) -> int:
        return int(self._ask({"wait": pid}))

    def _fork(self, folder: Path, kind: str, code: CodeSpec, log_level: str) -> JobProcess:
        files = [folder / f"{name}-{secrets.token_hex(4)}" for name in ("log", "output")]
        ours, theirs = socket.socketpair()
        descriptors = [os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND) for file in files]
        with theirs:
            request = {
                "kind": kind,
                "folder": str(folder),
                "log_level": log_level,
                "code": asdict(code) | {"functions": ""},
            }
            pid = int(self._ask(request, [theirs.fileno(), *descriptors]))
        for descriptor in descriptors:
            os.close(descriptor)
        return JobProcess(self, pid, ours, *files)

    def _ask(self, request: dict[str, Any], descriptors: list[int] | None = None) -> str:
        socket.send_fds(self._control, [json.dumps(request).encode()], descriptors or [])
        return self._control.recv(100).decode()


Fork = Callable[..., JobProcess]  # fork(code, kind="job", **spec): see the fixture


def start_job(*, job: Job | None = None, **changes: Any) -> StartJob:
    """The message that starts a job in room `lobby`; of a server that nobody answers for."""
    values: dict[str, Any] = {
        "job_id": "AJ_1",
        "job": (job or Job(id="AJ_1")).SerializeToString(),
        "url": "ws://127.0.0.1:9",
        "token": "token",
        "api_token": "api-token",
        "worker_id": "AW_1",
        "agent": "support",
        "room": "lobby",
        "identity": "agent-AJ_1",
        "name": "Support",
        "metadata": "",
        "attributes": {},
        "settings": {},
        "attempt": 1,
        "session_end_seconds": 5.0,
        "shutdown_seconds": 5.0,
    }
    return StartJob(**(values | changes))
