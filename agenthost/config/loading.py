"""From a file to a valid Config: the steps in order. Runs in the host and in every command that reads a file.

    decode → parse → layers (profile, --set, options) → env file → interpolate → desugar/coerce → schema
           → resolve (defaults) → meaning → imports → build

A step whose input is broken is not taken, so that one cause gives one finding; within a step everything is reported.
`load` raises what was found; `examine` returns it, for those who want to show it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from agenthost.config.collector import Collector
from agenthost.config.document import MAX_BYTES, decode, parse
from agenthost.config.examination import Examination, Loaded, Options, Stage
from agenthost.config.findings import ConfigError, Finding, Severity
from agenthost.config.masking import mask_text
from agenthost.config.named_code import code_name
from agenthost.config.reading import Reading

__all__ = [
    "FILE_NAMES",
    "Examination",
    "Loaded",
    "Options",
    "Stage",
    "examine",
    "examine_code",
    "examine_text",
    "find_file",
    "load",
    "load_entrypoint",
    "loaded",
    "with_findings",
]

FILE_NAMES = ("agenthost.yaml", "agenthost.yml")


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
    result = loaded(examine_code(reference, options))
    return replace(result, config=replace(result.config, code=code_name(reference)))


def examine_code(reference: str, options: Options) -> Examination:
    """As `examine`, of that file."""
    return examine_text("{}", Path(FILE_NAMES[0]), replace(options, entrypoint=reference))


def loaded(examination: Examination) -> Loaded:
    """The configuration that was examined. Raises ConfigError if it has errors."""
    if examination.config is None:
        watched = examination.watched_files
        raise ConfigError(examination.findings, examination.source, str(examination.file), watched)
    return Loaded(config=examination.config, warnings=examination.findings, source=examination.source)


def examine(file: Path, options: Options) -> Examination:
    """Read and check a file, and return what there is to say about it. Raises UsageError for a malformed --set."""
    findings = Collector(str(file))
    raw = _read(file, findings)
    if raw is None:
        return _unreadable(file, "", findings)
    text = decode(raw, findings)
    if text is None:
        legible = raw.decode("utf-8-sig", errors="replace") if len(raw) <= MAX_BYTES else ""
        return _unreadable(file, mask_text(legible, None), findings)
    return examine_text(text, file, options)


def examine_text(text: str, file: Path, options: Options) -> Examination:
    """Like `examine`, for a text that is at hand; `file` is what it is called and where its folder is."""
    text = text.replace("\r\n", "\n")
    findings = Collector(str(file))
    document = parse(text, str(file), findings)
    if document is None:
        return _unreadable(file, mask_text(text, None), findings)
    source = mask_text(text, document.root)
    if any(finding.code.startswith("AH0") for finding in findings.findings()):
        return _unreadable(file, source, findings)
    return Reading(file=file, source=source, options=options, findings=findings).examine(document.root)


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


def _read(file: Path, findings: Collector) -> bytes | None:
    if file.suffix == ".py":
        hint = f"`agenthost dev {file}` runs it; `agenthost init --from {file}` makes a file for it"
        findings.report("AH003", f"`{file}` is Python, not YAML", hint=hint)
        return None
    try:
        with file.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        findings.report(
            "AH001", f"cannot read the file: {reason}", hint="check the path, or write one with `agenthost init`"
        )
        return None


def _unreadable(file: Path, source: str, findings: Collector) -> Examination:
    return Examination(
        file=file,
        source=source,
        findings=findings.findings(),
        stages={Stage.SYNTAX: False},
        watched_files=(file.absolute(),),
    )
