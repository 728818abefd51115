"""One reading of one file: from its nodes to the Config, step by step; `loading` says which step comes when."""

import os.path
from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace

from agenthost.cgroups import memory_limit
from agenthost.config.build import build
from agenthost.config.checks import check_agents, check_built, check_placement
from agenthost.config.collector import Collector
from agenthost.config.desugar import coerce, desugar
from agenthost.config.environment import FileReader, read_env_file
from agenthost.config.examination import Examination, Options, Stage
from agenthost.config.host_checks import check_credentials, check_host
from agenthost.config.import_checks import check_imports
from agenthost.config.interpolate import Sources, hide_references, interpolate
from agenthost.config.merge import merge, option, read_override, select_profile
from agenthost.config.model import Config
from agenthost.config.nodes import Node
from agenthost.config.resolve import Facts, Resolved, resolve
from agenthost.config.schema import check_schema
from agenthost.version import __version__

LANGUAGE_VERSION = 1

ENVIRONMENT = frozenset({"AH304", "AH305", "AH307", "AH308"})
"""Findings about what is not on this machine. They make no value wrong but one unknown, and hide nothing else."""


class Reading:
    """One reading of one file that could be parsed. `source` is its text without secrets."""

    def __init__(self, *, file: Path, source: str, options: Options, findings: Collector) -> None:
        self._file = file.absolute()
        self._shown = file
        self._source = source
        self._options = options
        self._findings = findings
        self._reader = FileReader(self._file.parent)
        self._env_files: list[Path] = []
        self._all_known = True

    def examine(self, root: Node) -> Examination:
        """Take the steps from the nodes of the file on, as far as they go."""
        root = self._layered(root)
        if self._is_too_new(root):
            return self._end({Stage.SCHEMA: False})
        environment = self._environment(root)
        root = self._expanded(root, environment)
        check_schema(root, self._findings)
        check_placement(root, self._findings)
        if self._findings.has_errors(besides=ENVIRONMENT):
            return self._end({Stage.SCHEMA: False})
        limited = memory_limit() is not None
        facts = Facts(dev=self._options.command == "dev", variables=environment, memory_limited=limited)
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
        message = f"version {version.value} needs an agenthost newer than {__version__}, which reads version "
        hint = "upgrade with `pip install -U agenthost`"
        self._findings.about("AH130", message + str(LANGUAGE_VERSION), version, hint=hint)
        return True

    def _environment(self, root: Node) -> Mapping[str, str]:
        """The env file's variables below those of the process. Of an env file with errors they are not all known."""
        path = self._env_file(root)
        if path is None:
            return dict(self._options.environ)
        self._env_files.append(path.absolute())
        node = root.entries.get("env_file")
        if node is not None and self._options.env_file is None and not os.path.isfile(path):  # noqa: PTH113
            if self._options.secrets:
                message = f"there is no env file `{path}`"
                self._findings.about("AH307", message, node, hint="create it, or drop `env_file`")
                self._all_known = False
            return dict(self._options.environ)
        problems = Collector(str(path))
        named = "--env-file" if self._options.env_file else "`env_file`"
        asked = self._options.env_file is not None or node is not None
        found = read_env_file(path, self._options.environ, problems, named=named, asked=asked)
        self._findings.add_all(problems.findings())
        self._all_known = not problems.has_errors()
        return {**found, **self._options.environ}

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
        lenient = not self._options.secrets or not self._all_known
        sources = Sources(variables=environment, read_file=self._reader.read, lenient=lenient)
        entries = {
            key: hide_references(child) if key == "profiles" else interpolate(child, sources, self._findings)
            for key, child in root.entries.items()
        }
        return coerce(replace(root, value=entries))

    def _examine_meaning(self, resolved: Resolved, environment: Mapping[str, str]) -> Examination:
        """Meaning and imports have nothing to do with each other, so both are checked whatever is found."""
        config = self._built(resolved, environment)
        meant = not self._findings.has_errors()
        code = Collector(str(self._shown))
        check_imports(resolved, self._file.parent, code)
        self._findings.add_all(code.findings())
        passed = {Stage.SCHEMA: True, Stage.MEANING: meant, Stage.IMPORTS: not code.has_errors()}
        return self._end(passed, resolved, None if self._findings.has_errors() else config)

    def _built(self, resolved: Resolved, environment: Mapping[str, str]) -> Config | None:
        """The configuration as far as its meaning goes; None if that is wrong."""
        findings = self._findings
        check_host(resolved, findings)
        check_credentials(resolved, self._options.command, findings, lenient=not self._options.secrets)
        check_agents(resolved, findings)
        if findings.has_errors(besides=ENVIRONMENT):
            return None
        config = build(
            resolved, file=self._file, shown=str(self._shown), environment=environment, watched=self._watched()
        )
        check_built(resolved, config, findings)
        return config

    def _watched(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys((self._file, *self._env_files, *self._reader.files)))

    def _end(
        self, passed: Mapping[Stage, bool], resolved: Resolved | None = None, config: Config | None = None
    ) -> Examination:
        """The examination, when nothing more is checked than what is in `passed`."""
        return Examination(
            file=self._shown,
            source=self._source,
            findings=self._findings.findings(),
            stages={Stage.SYNTAX: True, **passed},
            resolved=resolved,
            config=config,
            watched_files=self._watched(),
        )
