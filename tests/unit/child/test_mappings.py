"""This process's own memory, read back."""

import mmap
import os
import sys
from pathlib import Path

import pytest

from agenthost.child.mappings import mappings


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells")
@pytest.mark.parametrize("name", [b"plain", b"half a letter \xc3", "two\u2028lines".encode()])
def test_mapped_files_may_have_any_name(tmp_path: Path, name: bytes) -> None:
    """A library in a folder whose name is no text must not keep a template from starting."""
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(bytes(mmap.PAGESIZE))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ):
        assert os.fspath(path) in [mapping.file for mapping in mappings()]
    assert os.fspath(path) not in [mapping.file for mapping in mappings()]
