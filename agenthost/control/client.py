"""A command's end of the control socket: blocking, with the standard library only. Runs in the command's process."""

import http.client
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlencode

from agenthost.control.codec import decode
from agenthost.control.peer import is_own_user
from agenthost.errors import AgentHostError, ExitCode
from agenthost.status import Guest, HostStatus, PlanReport, ReloadReport

Answer = TypeVar("Answer")

_QUICK_SECONDS = 10.0  # what a host that is not blocked needs a few milliseconds for


class HostUnreachable(AgentHostError):
    """No host listens on the socket, or it does not answer."""

    exit_code = ExitCode.UNREACHABLE


class NobodyListens(HostUnreachable):
    """There is no socket, or the host that made it is dead."""


class HostEnded(HostUnreachable):
    """It was there when it was asked, and closed the connection without an answer."""


class ControlClient:
    """Asks the host that listens on `path`. Every method raises HostUnreachable when there is no answer."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def is_answered(self) -> bool:
        """Whether a host listens. Raises HostUnreachable only for a socket that must not be used."""
        try:
            with self._connected(_QUICK_SECONDS) as connection:
                connection.connect()
        except NobodyListens:
            return False
        return True

    def status(self) -> HostStatus:
        return self._ask(HostStatus, "GET", "/status", _QUICK_SECONDS)

    def plan(self) -> PlanReport:
        """What a reload would do now; takes as long as reading the file and its code."""
        return self._ask(PlanReport, "POST", "/plan", None)

    def reload(self) -> ReloadReport:
        """Have the file and the code taken over; takes as long as the user's imports and prewarm do."""
        return self._ask(ReloadReport, "POST", "/reload", None)

    def invite(self, room: str) -> Guest:
        """Somebody who may join `room` within some minutes; the agents there know the identity already."""
        return self._ask(Guest, "POST", f"/invite?{urlencode({'room': room})}", _QUICK_SECONDS)

    def stop(self, *, now: bool) -> HostStatus:
        """Have the host end, with `now` its jobs too; returns at once, with the host as it is then."""
        return self._ask(HostStatus, "POST", "/stop?now=1" if now else "/stop", _QUICK_SECONDS)

    def _ask(self, kind: type[Answer], method: str, target: str, seconds: float | None) -> Answer:
        """`seconds` is the longest silence; None waits until the host answers or ends."""
        with self._connected(seconds) as connection:
            connection.request(method, target)
            response = connection.getresponse()
            text = response.read().decode()
        if response.status != http.HTTPStatus.OK:
            raise AgentHostError(f"the host refused {target}: {text.strip() or response.reason}")
        try:
            return decode(kind, text)
        except ValueError as error:
            raise AgentHostError(
                f"the host's answer to {target} cannot be read ({error}); is it of another version?"
            ) from None

    @contextmanager
    def _connected(self, seconds: float | None) -> Iterator[http.client.HTTPConnection]:
        connection = _UnixConnection(self.path, seconds)
        try:
            yield connection
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
            raise NobodyListens(f"no host listens on {self.path}") from None
        except TimeoutError:
            raise HostUnreachable(f"the host does not answer on {self.path}") from None
        except (ConnectionError, http.client.HTTPException):
            raise HostEnded(f"the host on {self.path} ended before it answered") from None
        except OSError as error:
            reason = error.strerror or str(error)
            raise HostUnreachable(f"the host on {self.path} cannot be asked: {reason}") from None
        finally:
            connection.close()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, seconds: float | None) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(os.fspath(self._path))
        if not is_own_user(self.sock):
            raise PermissionError(0, "it belongs to another user")
