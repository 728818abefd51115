"""What goes into a reading of the file besides the file, and what comes out of it. Values only."""

from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path

from agenthost.config.findings import Finding
from agenthost.config.model import Config
from agenthost.config.resolve import Resolved
from agenthost.values import Discreet


class Stage(Enum):
    """The kinds of check, in the order in which they run."""

    SYNTAX = "syntax"
    SCHEMA = "schema"
    MEANING = "meaning"
    IMPORTS = "imports"
    SERVER = "server"


class Options(Discreet, frozen=True, kw_only=True):
    """What besides the file decides what it means.

    `command` is the command's name; `dev` has defaults of its own. `overrides` are `PATH=VALUE` texts; `env_file`,
    `log_level`, `url`, `api_key` and `api_secret` are the command-line options of these names and beat the file.
    `secrets` False: unset variables are unknown values, not errors. `entrypoint` stands on the command line instead
    of a file.
    """

    not_shown = frozenset({"environ", "api_key", "api_secret"})

    environ: Mapping[str, str]
    command: str
    profile: str | None = None
    overrides: Sequence[str] = ()
    env_file: Path | None = None
    log_level: str | None = None
    url: str | None = None
    api_key: str | None = None
    api_secret: str | None = None
    secrets: bool = True
    entrypoint: str | None = None


class Loaded(Discreet, frozen=True, kw_only=True):
    """A valid configuration, with the warnings that it deserves. `source` is the file's text without secrets."""

    not_shown = frozenset({"source"})

    config: Config
    warnings: tuple[Finding, ...]
    source: str


class Examination(Discreet, frozen=True, kw_only=True):
    """Everything that reading a file has shown. `stages`: True passed, False failed, missing: not reached.

    `config` is None if there were errors, `resolved` if even the schema was not passed. `watched_files` are those
    that were read, or should have been: a change of any of them is worth another look, also after a failure.
    """

    not_shown = frozenset({"source"})

    file: Path
    source: str
    findings: tuple[Finding, ...]
    stages: Mapping[Stage, bool]
    resolved: Resolved | None = None
    config: Config | None = None
    watched_files: tuple[Path, ...] = ()
