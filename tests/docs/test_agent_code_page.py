"""docs/agent-code.md names everything that user code is given."""

import re
from pathlib import Path

import pytest

from agenthost import JobContext, JobProcess, JobRequest

PAGE = Path(__file__).parents[2] / "docs" / "agent-code.md"


@pytest.mark.parametrize("public", [JobContext, JobProcess, JobRequest], ids=lambda cls: str(cls.__name__))
def test_every_public_name_is_on_the_page(public: type) -> None:
    """What is not told there does not exist for its users."""
    named = set(re.findall(r"`(?:\w+\.)?(\w+)(?:\([^`]*\))?`", PAGE.read_text()))
    assert {name for name in vars(public) if not name.startswith("_")} - named == set()
