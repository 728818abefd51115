"""Fingerprints of files."""

import os
from pathlib import Path

import pytest

from agenthost.watching import fingerprints
from agenthost.watching.fingerprints import ABSENT, changed_since, digest, digests


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two files, `a` and `b`."""
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.write_text(path.name)
    return paths


def fingerprint(files: list[Path]) -> str:
    """Of what they contain now."""
    return fingerprints.fingerprint(digests(files))


def test_order_and_repetition_do_not_matter(files: list[Path]) -> None:
    """The modules of a process come in whatever order they were imported."""
    assert fingerprint(files) == fingerprint([*reversed(files), files[0]])


def test_times_do_not_matter(files: list[Path]) -> None:
    """A checkout of the same content is the same code."""
    before = fingerprint(files)
    os.utime(files[0], (1, 1))
    assert fingerprint(files) == before


def test_content_names_and_presence_matter(files: list[Path]) -> None:
    """Each is another fingerprint than all others: edited, swapped, missing, empty, not looked at."""
    prints = [fingerprint(files), fingerprint(files[:1]), fingerprint([])]
    files[0].write_text("b")
    prints.append(fingerprint(files))
    files[0].write_text("")
    prints.append(fingerprint(files))
    files[0].unlink()
    prints.append(fingerprint(files))
    assert len(set(prints)) == len(prints)


def test_what_cannot_be_read_is_told_from_what_is_missing(tmp_path: Path) -> None:
    """A folder in the place of a file can be told from nothing, and neither raises."""
    assert digest(tmp_path / "missing") == ABSENT
    assert digest(tmp_path).startswith("unreadable")


def test_changed_since_is_about_writes_and_missing_files(files: list[Path]) -> None:
    """A file that vanished while it was read counts as changed."""
    for path in files:
        os.utime(path, ns=(1000, 1000))
    assert not changed_since(files, 1001)
    assert changed_since(files, 1000)
    files[1].unlink()
    assert changed_since(files, 1001)
