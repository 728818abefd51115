"""`--fix`: write the corrections that findings carry into the file. Comments and layout stay as they are."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from agenthost.config.findings import Fix
from agenthost.config.loading import Examination, Options, Stage, examine, examine_text

MAX_ROUNDS = 10
"""A correction can bring to light what it hid (a syntax error hides everything), but not for ever."""


def fix_file(file: Path, options: Options) -> int:
    """Correct what can be corrected and return how many corrections were made; 0 leaves the file untouched."""
    examination = examine(file, options)
    if not _fixes(examination):
        return 0
    raw = file.read_bytes()
    text = raw.decode("utf-8-sig")
    corrected, count = fix_text(text, file, options)
    if count:
        mark = b"\xef\xbb\xbf" if raw.startswith(b"\xef\xbb\xbf") else b""
        _replace(file.resolve(), mark + corrected.encode())
    return count


def fix_text(text: str, file: Path, options: Options) -> tuple[str, int]:
    """The text with every correction made, and their number."""
    count = 0
    examination = examine_text(text, file, options)
    for _ in range(MAX_ROUNDS):
        fixes = _fixes(examination)
        if not fixes:
            break
        corrected = apply_fixes(text, fixes)
        after = examine_text(corrected, file, options)
        if examination.stages[Stage.SYNTAX] and not after.stages[Stage.SYNTAX]:
            break  # never make a readable file unreadable
        text, examination, count = corrected, after, count + len(fixes)
    return text, count


def apply_fixes(text: str, fixes: Sequence[Fix]) -> str:
    """The text with each fix applied; they must not overlap."""
    lines = text.split("\n")
    for fix in sorted(fixes, key=lambda fix: (fix.line, fix.column), reverse=True):
        line = lines[fix.line - 1]
        lines[fix.line - 1] = line[: fix.column - 1] + fix.text + line[fix.end_column - 1 :]
    return "\n".join(lines)


def _fixes(examination: Examination) -> list[Fix]:
    """The corrections to the file itself, without those that overlap an earlier one: they wait for the next round."""
    chosen: list[Fix] = []
    for finding in examination.findings:
        fix = finding.fix
        if fix is None or finding.file != str(examination.file):
            continue
        if not any(fix.line == other.line and _overlap(fix, other) for other in chosen):
            chosen.append(fix)
    return chosen


def _overlap(first: Fix, second: Fix) -> bool:
    return first.column < second.end_column and second.column < first.end_column


def _replace(file: Path, content: bytes) -> None:
    """Write all or nothing, and keep the file's permissions."""
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        Path(name).chmod(file.stat().st_mode & 0o7777)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
