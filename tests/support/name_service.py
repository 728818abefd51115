"""A name that a test lets a host resolve or not, while it runs.

It takes the place of `socket.getaddrinfo` when the interpreter starts: a machine's own resolver is everybody's.
"""

from collections.abc import Mapping
from pathlib import Path

NAME = "livekit.example.internal"

_SITE = """
import os, socket

_ask = socket.getaddrinfo

def _answer(host, *arguments, **options):
    if host == {name!r}:
        if not os.path.exists({file!r}):
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        host = "127.0.0.1"
    return _ask(host, *arguments, **options)

socket.getaddrinfo = _answer
"""


class NameService:
    """`environment` goes to the program; NAME is 127.0.0.1 for it, unless `fail` was called and `heal` was not."""

    def __init__(self, folder: Path) -> None:
        site = folder / "site"
        site.mkdir()
        self._file = folder / "resolves"
        self._file.touch()
        (site / "sitecustomize.py").write_text(_SITE.format(name=NAME, file=str(self._file)))
        self.environment: Mapping[str, str] = {"PYTHONPATH": str(site)}

    def fail(self) -> None:
        self._file.unlink()

    def heal(self) -> None:
        self._file.touch()
