"""Every exception that agenthost raises on purpose, sorted by what the one who catches it can do.

    AgentHostError
    ├── ConfigError           the file (or what it refers to) is wrong: fix it, then run again
    ├── UsageError            the command line is wrong
    ├── EntrypointError       the user's code cannot be used: fix the code
    ├── RegistrationRefused   the LiveKit server refuses us: fix the credentials; retrying will not help
    ├── ConnectionLost        the LiveKit server cannot be reached now: retry
    ├── CallRefused           the LiveKit server answered a call of its API with an error: retrying will not help
    ├── ProcessFailed         a process of ours could not be started or died
    ├── LocalServerError      the local LiveKit server cannot be built or started
    └── EnvironmentRefused    the machine cannot do what was asked (port taken, Windows ...)

`cli` alone turns them into exit codes; nothing below it calls `sys.exit`.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """What `agenthost` exits with; process managers decide by it whether to start it again."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    JOBS_ENDED = 3
    CHANGES = 10
    UNREACHABLE = 69
    REFUSED = 77
    CONFIG = 78


class AgentHostError(Exception):
    """Base of all; `str()` of it is one message for people: what, where, what to do."""

    exit_code: ExitCode = ExitCode.FAILURE


class UsageError(AgentHostError):
    """The command line cannot be understood or asks for two things at once."""

    exit_code = ExitCode.USAGE


class EntrypointError(AgentHostError):
    """User code cannot be used: module missing, attribute missing, wrong kind, or it raised at import.

    `traceback_text` is the user's own traceback (frames of agenthost removed), empty where there is none. `file` and
    `line` say where in their code it is when nothing was raised there; "" and 0 otherwise.
    """

    exit_code = ExitCode.CONFIG

    def __init__(self, message: str, *, traceback_text: str = "", file: str = "", line: int = 0) -> None:
        super().__init__(message)
        self.traceback_text = traceback_text
        self.file = file
        self.line = line


class RegistrationRefused(AgentHostError):
    """The LiveKit server refused the credentials (HTTP 401 or 403)."""

    exit_code = ExitCode.REFUSED


class ConnectionLost(AgentHostError):
    """The LiveKit server cannot be reached, closed the socket, or did not answer in time."""

    exit_code = ExitCode.UNREACHABLE


class CallRefused(AgentHostError):
    """The LiveKit server answered a call of its API with an error. `code` is its word for it: `unauthenticated` …"""

    exit_code = ExitCode.REFUSED

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class ProcessFailed(AgentHostError):
    """A process (base, template, job or hook process) could not be started, or died."""


class LocalServerError(AgentHostError):
    """The local LiveKit server cannot be found, built or started."""


class EnvironmentRefused(AgentHostError):
    """The machine cannot do what was asked: a port is taken, the platform is not supported."""
