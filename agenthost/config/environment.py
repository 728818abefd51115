"""What a configuration takes from outside its file: the env file, and the files of `${file:…}`."""

import io
import os
from collections.abc import Mapping
from pathlib import Path

from agenthost.config.collector import Collector
from agenthost.config.findings import Severity
from agenthost.config.interpolate import UnreadableFile
from agenthost.config.nodes import Span

MAX_FILE_BYTES = 1024 * 1024


class FileReader:
    """Reads the files that `${file:PATH}` names, and remembers which they were."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.files: list[Path] = []

    def read(self, path: str) -> str:
        """The file's text without one trailing newline. Raises UnreadableFile."""
        file = self._folder / os.path.expanduser(path)  # noqa: PTH111  where nobody has a home, it stays as it is
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


def read_env_file(
    path: Path, environ: Mapping[str, str], findings: Collector, *, named: str = "--env-file", asked: bool = True
) -> Mapping[str, str]:
    """The variables of an env file, as python-dotenv reads it: `${NAME}` is one of `environ`, else of the file so far.

    `named` is what names the file, for the hint of a finding. Nothing in a file that nobody `asked` for is an error.
    """
    severity = Severity.ERROR if asked else Severity.WARNING
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_FILE_BYTES + 1)
        text = raw.decode("utf-8-sig")
    except OSError as error:
        message = f"cannot read the env file: {(error.strerror or str(error)).lower()}"
        hint = f"check the path, or drop {named}" if asked else "it was read because it is there"
        findings.report("AH307", message, file=str(path), hint=hint, severity=severity)
        return {}
    except UnicodeDecodeError:
        message, hint = "the env file is not UTF-8 text", "save it as UTF-8"
        findings.report("AH308", message, file=str(path), hint=hint, severity=severity)
        return {}
    if len(raw) > MAX_FILE_BYTES:
        message, hint = "the env file is larger than 1 MiB", "is it the right file?"
        findings.report("AH308", message, file=str(path), hint=hint, severity=severity)
        return {}
    return _parse_env(text, environ, str(path), findings)


def _parse_env(text: str, environ: Mapping[str, str], file: str, findings: Collector) -> dict[str, str]:
    # Late: most hosts read no such file, and it takes 20 ms to import. Its own `dotenv_values` says of a line that it
    # cannot read no more than a log message does, and takes variables from `os.environ` alone.
    from dotenv.parser import parse_stream
    from dotenv.variables import parse_variables

    values: dict[str, str] = {}
    for binding in parse_stream(io.StringIO(text)):
        if binding.error or "\0" in binding.original.string:
            written = binding.original.string
            line = binding.original.line + len(written[: len(written) - len(written.lstrip())].splitlines())
            # The line itself is not shown: it may well be a secret.
            problem = "no `NAME=value`, or quotes that do not close: passed over"
            span = Span(line=line, column=1, end_column=2)
            hint = "a comment begins with `#`"
            findings.report("AH308", problem, span, file=file, hint=hint, severity=Severity.WARNING)
        elif binding.key is not None and binding.value is not None:  # a name alone sets nothing
            known = {**values, **environ}
            values[binding.key] = "".join(atom.resolve(known) for atom in parse_variables(binding.value))
    return values
