"""From a file to a valid Config: the steps in order. Runs in the host and in every command that reads a file.

    decode → parse → layers (profile, --set, options) → env file → interpolate → desugar/coerce → schema
           → resolve (defaults) → meaning → imports → build

A step whose input is broken is not taken, so that one cause gives one finding; within a step everything is reported.
`load` raises what was found; `examine` returns it, for those who want to show it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path

from agenthost.config.build import build
from agenthost.config.checks import check_agents, check_built, check_placement
from agenthost.config.collector import Collector
from agenthost.config.desugar import coerce, desugar
from agenthost.config.document import MAX_BYTES, decode, parse
from agenthost.config.environment import FileReader, memory_is_limited, read_env_file
from agenthost.config.findings import ConfigError, Finding, Severity
from agenthost.config.host_checks import check_credentials, check_host
from agenthost.config.import_checks import check_imports
from agenthost.config.interpolate import Sources, hide_references, interpolate
from agenthost.config.masking import mask_text
from agenthost.config.merge import merge, option, read_override, select_profile
from agenthost.config.model import Config
from agenthost.config.nodes import Node
from agenthost.config.resolve import Facts, Resolved, resolve
from agenthost.config.schema import check_schema

LANGUAGE_VERSION = 1
FILE_NAMES = ("agenthost.yaml", "agenthost.yml")


class Stage(Enum):
    """The kinds of check, in the order in which they run."""

    SYNTAX = "syntax"
    SCHEMA = "schema"
    MEANING = "meaning"
    IMPORTS = "imports"
    SERVER = "server"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What besides the file decides what it means.

    `command` is the command's name; `dev` has defaults of its own. `overrides` are `PATH=VALUE` texts; `env_file`,
    `log_level`, `url`, `api_key` and `api_secret` are the command-line options of these names and beat the file.
    `secrets` False: unset variables are unknown values, not errors. `entrypoint` stands on the command line instead
    of a file.
    """

    environ: Mapping[str, str] = field(repr=False)
    command: str
    profile: str | None = None
    overrides: Sequence[str] = ()
    env_file: Path | None = None
    log_level: str | None = None
    url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    api_secret: str | None = field(default=None, repr=False)
    secrets: bool = True
    entrypoint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A valid configuration, with the warnings that it deserves. `source` is the file's text without secrets."""

    config: Config
    warnings: tuple[Finding, ...]
    source: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """Everything that reading a file has shown. `stages`: True passed, False failed, missing: not reached.

    `config` is None if there were errors, `resolved` if even the schema was not passed. `watched_files` are those
    that were read, or should have been: a change of any of them is worth another look, also after a failure.
    """

    file: Path
    source: str = field(repr=False)
    findings: tuple[Finding, ...]
    stages: Mapping[Stage, bool]
    resolved: Resolved | None = None
    config: Config | None = None
    watched_files: tuple[Path, ...] = ()


def find_file(argument: str | None, environ: Mapping[str, str]) -> Path:
    """The configuration file: the argument, else `$AGENTHOST_CONFIG`, else `agenthost.yaml` or `.yml` here.

    Raises ConfigError when there is none to be found; a file that is named but missing is `load`'s to report.
    """
    named = argument or environ.get("AGENTHOST_CONFIG")
    if named:
        return Path(named)
    for name in FILE_NAMES:
        if Path(name).is_file():
            return Path(name)
    findings = Collector(FILE_NAMES[0])
    hint = "name one, set AGENTHOST_CONFIG, or write a first one with `agenthost init`"
    findings.report("AH001", "there is no agenthost.yaml in this folder", hint=hint)
    raise ConfigError(findings.findings())


def load(
    file: Path,
    *,
    environ: Mapping[str, str],
    command: str,
    profile: str | None = None,
    overrides: Sequence[str] = (),
    env_file: Path | None = None,
    log_level: str | None = None,
    url: str | None = None,
    api_key: str | None = None,
    api_secret: str | None = None,
) -> Loaded:
    """Read and check a file; see `Options` for the arguments. Raises ConfigError with all findings, UsageError."""
    options = Options(
        environ=environ,
        command=command,
        profile=profile,
        overrides=overrides,
        env_file=env_file,
        log_level=log_level,
        url=url,
        api_key=api_key,
        api_secret=api_secret,
    )
    return loaded(examine(file, options))


def load_entrypoint(reference: str, options: Options) -> Loaded:
    """The configuration of `agenthost dev module:attribute`: the file that nobody had to write."""
    return loaded(examine_text("{}", Path(FILE_NAMES[0]), replace(options, entrypoint=reference)))


def loaded(examination: Examination) -> Loaded:
    """The configuration that was examined. Raises ConfigError if it has errors."""
    if examination.config is None:
        raise ConfigError(examination.findings, examination.source, str(examination.file))
    return Loaded(config=examination.config, warnings=examination.findings, source=examination.source)


def examine(file: Path, options: Options) -> Examination:
    """Read and check a file, and return what there is to say about it. Raises UsageError for a malformed --set."""
    findings = Collector(str(file))
    text = _read(file, findings)
    if text is None:
        return _end(file, "", findings, {Stage.SYNTAX: False})
    return examine_text(text, file, options)


def examine_text(text: str, file: Path, options: Options) -> Examination:
    """Like `examine`, for a text that is at hand; `file` is what it is called and where its folder is."""
    text = text.replace("\r\n", "\n")
    findings = Collector(str(file))
    document = parse(text, str(file), findings)
    if document is None:
        return _end(file, mask_text(text, None), findings, {Stage.SYNTAX: False})
    source = mask_text(text, document.root)
    if any(finding.code.startswith("AH0") for finding in findings.findings()):
        return _end(file, source, findings, {Stage.SYNTAX: False})
    return _Reading(file=file, source=source, options=options, findings=findings).examine(document.root)


def with_findings(examination: Examination, stage: Stage, found: Sequence[Finding]) -> Examination:
    """The examination after one more kind of check, whose errors make the configuration unusable too."""
    failed = any(finding.severity is Severity.ERROR for finding in found)
    findings = sorted([*examination.findings, *found], key=lambda finding: (finding.file, finding.line, finding.column))
    return replace(
        examination,
        findings=tuple(findings),
        stages={**examination.stages, stage: not failed},
        config=None if failed else examination.config,
    )


def _read(file: Path, findings: Collector) -> str | None:
    try:
        with file.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        findings.report(
            "AH001", f"cannot read the file: {reason}", hint="check the path, or write one with `agenthost init`"
        )
        return None
    return decode(raw, findings)


def _end(
    file: Path,
    source: str,
    findings: Collector,
    stages: Mapping[Stage, bool],
    *,
    resolved: Resolved | None = None,
    config: Config | None = None,
    watched: tuple[Path, ...] | None = None,
) -> Examination:
    return Examination(
        file=file,
        source=source,
        findings=findings.findings(),
        stages=stages,
        resolved=resolved,
        config=config,
        watched_files=(file.absolute(),) if watched is None else watched,
    )


class _Reading:
    """One reading of one file, from its nodes to the Config."""

    def __init__(self, *, file: Path, source: str, options: Options, findings: Collector) -> None:
        self._file = file.absolute()
        self._shown = file
        self._source = source
        self._options = options
        self._findings = findings
        self._reader = FileReader(self._file.parent)
        self._stages = {Stage.SYNTAX: True}
        self._env_files: list[Path] = []

    def examine(self, root: Node) -> Examination:
        root = self._layered(root)
        if self._is_too_new(root):
            return self._end(Stage.SCHEMA)
        environment = self._environment(root)
        root = self._expanded(root, environment)
        check_schema(root, self._findings)
        check_placement(root, self._findings)
        if self._findings.has_errors():
            return self._end(Stage.SCHEMA)
        self._stages[Stage.SCHEMA] = True
        facts = Facts(dev=self._options.command == "dev", variables=environment, memory_limited=memory_is_limited())
        return self._examine_meaning(resolve(root, facts), environment)

    def _layered(self, root: Node) -> Node:
        """The file with the chosen profile, then the command line's own values, on top. In canonical form."""
        options = self._options
        root = select_profile(desugar(root), options.profile, command=options.command, findings=self._findings)
        for override in options.overrides:
            root = merge(root, desugar(read_override(override)))
        given = {
            "log_level": (options.log_level, "--log-level"),
            "entrypoint": (options.entrypoint, options.entrypoint or ""),
            "livekit.url": (options.url, "--url"),
            "livekit.api_key": (options.api_key, "--api-key"),
            "livekit.api_secret": (options.api_secret, "--api-secret"),
        }
        for path, (value, name) in given.items():
            if value is not None:
                root = merge(root, option(path, value, name))
        return root

    def _is_too_new(self, root: Node) -> bool:
        version = root.entries.get("version")
        if version is None or not isinstance(version.value, int) or version.value <= LANGUAGE_VERSION:
            return False
        message = f"the file needs a newer agenthost: this one reads version {LANGUAGE_VERSION}"
        self._findings.about("AH130", message, version, hint="upgrade with `pip install -U agenthost`")
        return True

    def _environment(self, root: Node) -> Mapping[str, str]:
        """The env file's variables below those of the process."""
        path = self._env_file(root)
        if path is None:
            return dict(self._options.environ)
        self._env_files.append(path.absolute())
        node = root.entries.get("env_file")
        if node is not None and self._options.env_file is None and not path.is_file():
            if self._options.secrets:
                message = f"there is no env file `{path}`"
                self._findings.about("AH307", message, node, hint="create it, or drop `env_file`")
            return dict(self._options.environ)
        return {**read_env_file(path, self._findings), **self._options.environ}

    def _env_file(self, root: Node) -> Path | None:
        if self._options.env_file is not None:
            return self._options.env_file
        node = root.entries.get("env_file")
        if node is not None and isinstance(node.value, str):
            sources = Sources(variables=self._options.environ, read_file=self._reader.read, lenient=True)
            expanded = interpolate(node, sources, Collector(str(self._shown)))
            return None if expanded.opaque else self._shown.parent / str(expanded.value)
        if self._options.command != "dev":
            return None
        default = self._shown.parent / ".env"
        self._env_files.append(default.absolute())  # to be noticed when it is made later
        return default if default.is_file() else None

    def _expanded(self, root: Node, environment: Mapping[str, str]) -> Node:
        """References replaced, but not in profiles that were not chosen: their variables need not be set."""
        sources = Sources(variables=environment, read_file=self._reader.read, lenient=not self._options.secrets)
        entries = {
            key: hide_references(child) if key == "profiles" else interpolate(child, sources, self._findings)
            for key, child in root.entries.items()
        }
        return coerce(replace(root, value=entries))

    def _examine_meaning(self, resolved: Resolved, environment: Mapping[str, str]) -> Examination:
        findings = self._findings
        check_host(resolved, findings)
        check_credentials(resolved, self._options.command, findings, lenient=not self._options.secrets)
        check_agents(resolved, findings)
        if findings.has_errors():
            return self._end(Stage.MEANING, resolved)
        config = build(
            resolved, file=self._file, shown=str(self._shown), environment=environment, watched=self._watched()
        )
        check_built(resolved, config, findings)
        if findings.has_errors():
            return self._end(Stage.MEANING, resolved)
        self._stages[Stage.MEANING] = True
        check_imports(resolved, self._file.parent, findings)
        return self._end(Stage.IMPORTS, resolved, None if findings.has_errors() else config)

    def _watched(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys((self._file, *self._env_files, *self._reader.files)))

    def _end(self, last: Stage, resolved: Resolved | None = None, config: Config | None = None) -> Examination:
        """The examination, when `last` was the last kind of check: passed if there is a configuration now."""
        self._stages[last] = config is not None
        return _end(
            self._shown,
            self._source,
            self._findings,
            self._stages,
            resolved=resolved,
            config=config,
            watched=self._watched(),
        )
