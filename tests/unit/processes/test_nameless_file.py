"""A file without a name, on whatever the Python at hand can make it of."""

import os

import pytest

from agenthost.processes.nameless_file import NamelessFile


@pytest.mark.parametrize("in_memory", [True, False])
def test_holds_its_content_and_has_no_name(in_memory: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python that was built for an old C library has no `memfd_create`, though its kernel has."""
    if not in_memory:
        monkeypatch.delattr(os, "memfd_create", raising=False)
    with NamelessFile(b"for many readers") as file:
        assert os.read(file.descriptor, 100) == b"for many readers"
        assert os.fstat(file.descriptor).st_nlink == 0
