"""Large memory in huge pages: what is in it stays, and small things are left alone."""

import sys

import pytest

from agenthost import kernel
from agenthost.child.huge_pages import HUGE, WORTHWHILE_BYTES, collapse_large
from agenthost.child.mappings import mappings

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux alone has it")


def huge_kilobytes(around: int) -> int:
    """Of the mapping that holds this address."""
    inside = False
    with open("/proc/self/smaps") as smaps:
        for line in smaps:
            first = line.split()[0]
            if not first.endswith(":"):
                start, end = (int(place, 16) for place in first.split("-"))
                inside = start <= around < end
            elif inside and first == "AnonHugePages:":
                return int(line.split()[1])
    raise LookupError(around)


def test_large_memory_is_collapsed_and_keeps_what_it_holds() -> None:
    """As one page for each two megabytes."""
    weights = bytearray(bytes(range(256)) * (2 * WORTHWHILE_BYTES // 256))
    holds = [part for part in mappings() if not part.file and part.size >= 2 * WORTHWHILE_BYTES]
    assert holds
    made = collapse_large()
    assert weights == bytes(range(256)) * (2 * WORTHWHILE_BYTES // 256)
    if made < WORTHWHILE_BYTES // HUGE:
        pytest.skip("this kernel cannot (before Linux 6.1), or has too little memory in one piece: other work took it")
    assert any(huge_kilobytes(part.start) >= WORTHWHILE_BYTES // 1024 for part in holds)


def test_a_kernel_that_cannot_is_not_asked_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some refusals in a row, and it is given up."""
    weights = bytearray(4 * WORTHWHILE_BYTES)
    asked = []

    def refuse(start: int, size: int, _advice: int) -> bool:
        asked.append((start, size))
        return False

    monkeypatch.setattr(kernel, "advise", refuse)
    assert collapse_large() == 0
    assert 0 < len(asked) < len(weights) // HUGE


def test_memory_that_is_no_mapping_is_refused() -> None:
    """By its return value: nothing here may raise, in a template."""
    assert not kernel.advise(0, HUGE, 25)
