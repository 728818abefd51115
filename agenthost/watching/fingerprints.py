"""What a set of files contains, as one short text: equal exactly when the contents are. Runs in the host."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path


def fingerprint(files: Iterable[Path]) -> str:
    """A hash over names and contents; a file that is missing or unreadable counts as such, and never raises."""
    total = hashlib.blake2b(digest_size=16)
    for file in sorted(set(files)):
        total.update(os.fsencode(file) + b"\0")
        try:
            content = file.read_bytes()
        except OSError as error:
            total.update(b"missing" + str(error.errno).encode())
        else:
            total.update(hashlib.blake2b(content, digest_size=16).digest())
    return total.hexdigest()


def changed_since(files: Iterable[Path], nanoseconds: int) -> bool:
    """Whether one of them was written at or after this time (of time.time_ns)."""
    for file in files:
        try:
            if file.stat().st_mtime_ns >= nanoseconds:
                return True
        except OSError:
            return True
    return False
