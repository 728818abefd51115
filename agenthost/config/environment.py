"""What a configuration takes from outside its file: the env file, and the files of `${file:…}`."""

import re
from collections.abc import Mapping
from pathlib import Path

from agenthost.config.collector import Collector
from agenthost.config.interpolate import UnreadableFile
from agenthost.config.nodes import Span

MAX_FILE_BYTES = 1024 * 1024

_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?P<value>.*?)\s*")
_DOUBLE_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(?:#.*)?')
_SINGLE_QUOTED = re.compile(r"'([^']*)'\s*(?:#.*)?")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "$": "$"}


class FileReader:
    """Reads the files that `${file:PATH}` names, and remembers which they were."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.files: list[Path] = []

    def read(self, path: str) -> str:
        """The file's text without one trailing newline. Raises UnreadableFile."""
        file = self._folder / Path(path).expanduser()
        self.files.append(file)
        try:
            with file.open("rb") as stream:
                raw = stream.read(MAX_FILE_BYTES + 1)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise UnreadableFile(reason.lower()) from error
        if len(raw) > MAX_FILE_BYTES:
            raise UnreadableFile("it is larger than 1 MiB")
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UnreadableFile("it is not UTF-8 text") from error
        return text.removesuffix("\n").removesuffix("\r")


def read_env_file(path: Path, findings: Collector, *, named: str = "--env-file") -> Mapping[str, str]:
    """The `NAME=value` lines of an env file. Values are taken as they are: nothing in them is expanded.

    `named` is what names the file, for the hint of a finding.
    """
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_FILE_BYTES + 1)
        text = raw.decode("utf-8-sig")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        findings.report(
            "AH307", f"cannot read the env file: {reason}", file=str(path), hint=f"check the path, or drop {named}"
        )
        return {}
    except UnicodeDecodeError:
        findings.report("AH308", "the env file is not UTF-8 text", file=str(path), hint="save it as UTF-8")
        return {}
    if len(raw) > MAX_FILE_BYTES:
        findings.report("AH308", "the env file is larger than 1 MiB", file=str(path), hint="is it the right file?")
        return {}
    return _parse_env(text, str(path), findings)


def _parse_env(text: str, file: str, findings: Collector) -> dict[str, str]:
    values: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _ASSIGNMENT.fullmatch(line)
        value = _unquote(match["value"]) if match else None
        if match is None or value is None:
            # The line itself is not shown: it may well be a secret.
            problem = "no `NAME=value` line" if match is None else f"the quotes around {match['name']} do not close"
            span = Span(line=number, column=1, end_column=2)
            findings.report("AH308", problem, span, file=file, hint="write NAME=value, one a line")
            continue
        values[match["name"]] = value
    return values


def _unquote(written: str) -> str | None:
    if written.startswith('"'):
        match = _DOUBLE_QUOTED.fullmatch(written)
        return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[0]), match[1]) if match else None
    if written.startswith("'"):
        match = _SINGLE_QUOTED.fullmatch(written)
        return match[1] if match else None
    return re.split(r"\s+#", written, maxsplit=1)[0] if not written.startswith("#") else ""
