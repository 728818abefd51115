"""What watched files contain, and what has changed since it was last reported. Runs on the host's loop.

A `look` compares each file with what was reported. A difference is *settled* when nothing was going on before the
look, or when two looks one after the other found the same; that a file is missing always takes two looks, because
many programs save by deleting and making anew.
"""

import stat
import time
from collections.abc import Collection
from pathlib import Path

from msgspec import Struct

from agenthost.watching.fingerprints import ABSENT, digest
from agenthost.watching.places import Interest, Selection, Survey, survey

_UNKNOWN = "unknown"  # the digest of a file that may have changed between being read and being watched
_RACY_SECONDS = 0.1  # within it, file systems may give two writes one timestamp
_SLACK_SECONDS = 0.02  # the kernel's file times lag behind its clock by up to a tick

Signature = tuple[int, int, int, int, int]


class _File(Struct, kw_only=True):
    """`reported` is the digest that the owner knows of, `digest` and `signature` those of the last look."""

    reported: str
    digest: str
    signature: Signature | None
    racy: bool


class Look(Struct, frozen=True, kw_only=True):
    """The files that differ from what was reported, by whether that is sure to last."""

    settled: frozenset[Path]
    unsettled: frozenset[Path]


class Contents:
    """`select` says what to watch, `look` what differs, `report` that the owner was told of it."""

    def __init__(self) -> None:
        self._selection = Selection()
        self._files: dict[Path, _File] = {}
        self._survey = Survey(files=frozenset(), interests={})

    @property
    def interests(self) -> dict[Path, Interest]:
        """The directories to watch, as of the last `select` or `look`."""
        return self._survey.interests

    def select(self, selection: Selection) -> frozenset[Path]:
        """Replace the selection. Returns the files that were not watched before: `adopt` them once they are.

        What was selected before keeps what was reported of it, so no edit is lost by selecting again.
        """
        old, self._selection = self._selection, selection
        self._survey = survey(selection)
        self._files = {path: file for path, file in self._files.items() if selection.holds(path)}
        return frozenset(path for path in self._survey.files if path not in self._files and not old.holds(path))

    def adopt(self, files: Collection[Path], *, since: float | None) -> None:
        """Take the files as they are for reported, but those written after `since` (seconds since the epoch)."""
        for path in files:
            file = _read(path)
            file.reported = _UNKNOWN if since is not None and _is_later(path, file.signature, since) else file.digest
            self._files[path] = file

    def look(self, *, quiet: bool) -> Look:
        """Compare. `quiet`: nothing happened for a while, so what is there now is there to stay."""
        self._survey = survey(self._selection)
        settled: set[Path] = set()
        unsettled: set[Path] = set()
        for path in self._survey.files | self._files.keys():
            file = self._files.get(path)
            if file is None:
                file = self._files[path] = _File(reported=ABSENT, digest=ABSENT, signature=None, racy=False)
            same = _refresh(path, file)
            if file.digest != file.reported:
                lasting = same or (quiet and file.signature is not None)
                (settled if lasting else unsettled).add(path)
        return Look(settled=frozenset(settled), unsettled=frozenset(unsettled))

    def report(self, files: Collection[Path]) -> None:
        """The owner is told of these now."""
        for path in files:
            file = self._files[path]
            file.reported = file.digest
            if file.digest == ABSENT and path not in self._survey.files:
                del self._files[path]  # it was found in a folder, and would be again


def _refresh(path: Path, file: _File) -> bool:
    """Read what may have changed; whether the file is as it was at the last look."""
    if _signature(path) == file.signature and not file.racy:
        return True
    now = _read(path)
    same = (now.signature, now.digest) == (file.signature, file.digest)
    file.digest, file.signature, file.racy = now.digest, now.signature, now.racy
    return same


def _read(path: Path) -> _File:
    signature = _signature(path)  # before the content: a write in between shows at the next look
    content = ABSENT if signature is None else digest(path)
    racy = signature is not None and _written_after(signature, time.time() - _RACY_SECONDS)
    return _File(reported=content, digest=content, signature=signature, racy=racy)


def _is_later(path: Path, before: Signature | None, moment: float) -> bool:
    """Whether the file that was just read was written after `moment`; `before` is its signature from before the read.

    One that was written between the two was read as it is now: only its signature still tells.
    """
    now = _signature(path)
    return now != before or (now is not None and _written_after(now, moment))


def _signature(path: Path) -> Signature | None:
    """Differs when a file was written or replaced; None where there is no regular file."""
    try:
        found = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None  # reading a pipe or device would wait for ever
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _written_after(signature: Signature, moment: float) -> bool:
    return signature[4] / 1e9 > moment - _SLACK_SECONDS
