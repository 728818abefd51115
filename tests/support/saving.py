"""Editing a file under a host that watches it."""

from pathlib import Path


def save(file: Path, text: str) -> None:
    """Replace the content in one step, as most editors do.

    `write_text` empties the file first: on a busy machine it may stay so for longer than the host waits, two edits.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.part")
    part.write_text(text)
    part.replace(file)
