"""The memory of this process, as the system tells it."""

import mmap
import os
from pathlib import Path

import pytest

from agenthost import kernel
from agenthost.child.mappings import mappings


@pytest.mark.skipif(not kernel.LINUX, reason="asks /proc")
def test_file_whose_name_is_no_text_is_mapped_as_any(tmp_path: Path) -> None:
    """A library of the user's may lie in such a folder."""
    file = tmp_path / os.fsdecode(b"latin-\xfc\x85")
    file.write_bytes(bytes(mmap.PAGESIZE))
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ):
        assert [one.file for one in mappings() if one.file.startswith(str(tmp_path))] == [str(file)]
