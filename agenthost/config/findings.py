"""A `Finding` is one problem in a configuration, with its place; `ConfigError` carries all of them at once."""

from collections.abc import Sequence
from enum import Enum
from pathlib import Path

from msgspec import Struct

from agenthost.errors import AgentHostError, ExitCode


class Severity(Enum):
    ERROR = "error"
    WARNING = "warning"


class Fix(Struct, frozen=True, kw_only=True):
    """Replace the text from column `column` to `end_column` (1-based, end exclusive) of `line` by `text`."""

    line: int
    column: int
    end_column: int
    text: str


class Related(Struct, frozen=True, kw_only=True):
    """Another place that explains the finding (`first here`)."""

    line: int
    column: int
    end_column: int
    message: str


class Finding(Struct, frozen=True, kw_only=True):
    """One cause, one finding. `path` is the dotted path (`agents.support.limits.memory`), "" for the file."""

    code: str
    severity: Severity
    message: str
    file: str
    line: int
    column: int
    end_column: int = 0
    path: str = ""
    hint: str = ""
    fix: Fix | None = None
    related: tuple[Related, ...] = ()


class ConfigError(AgentHostError):
    """The configuration cannot be used.

    `findings` holds every problem, sorted by place; `source` is the text of `file`, without secrets; `watched_files`
    are the files of which a change may mend it.
    """

    exit_code = ExitCode.CONFIG

    def __init__(
        self, findings: Sequence[Finding], source: str = "", file: str = "", watched_files: tuple[Path, ...] = ()
    ) -> None:
        self.findings = tuple(findings)
        self.source = source
        self.file = file
        self.watched_files = watched_files
        first = next((finding for finding in self.findings if finding.severity is Severity.ERROR), self.findings[0])
        place = f"{first.file}:{first.line}:{first.column}" if first.line else first.file
        super().__init__(f"{place} {first.code} {first.message}")

    def __reduce__(self) -> tuple[type["ConfigError"], tuple[object, ...]]:
        """Pickled when the file is read in a process of its own."""
        return type(self), (self.findings, self.source, self.file, self.watched_files)
