"""The text of a file that is made from a script."""

from typing import Any

import pytest
import yaml

from agenthost.scaffold.translation import Translation
from agenthost.scaffold.yaml_text import MAX_FLOW_WIDTH, render_file


def rendered(keys: dict[str, Any], *notes: str) -> str:
    return render_file(Translation(keys=keys, notes=notes), source="app.py")


@pytest.mark.parametrize(
    "keys",
    [
        {"agent_name": "yes"},
        {"agent_name": "a: b # c"},
        {"agent_name": '${NAME:-it\'s "x" \\ y}'},
        {"agent_name": ""},
        {"preload": ["numpy", "1.0"]},
        {"load": {"custom": {"callable": "a:b", "limit": 0.7}}},
        {"permissions": {f"permission_{number}": True for number in range(10)}},
    ],
)
def test_text_says_what_the_keys_say(keys: dict[str, Any]) -> None:
    """Whatever the values are, reading gives them back; lines stay short."""
    text = rendered(keys)
    assert yaml.safe_load(text) == {"version": 1, **keys}
    assert max(map(len, text.splitlines())) <= MAX_FLOW_WIDTH


def test_keys_come_in_their_usual_order() -> None:
    """Not in that of the script."""
    text = rendered({"load": {"cpu": "70%"}, "entrypoint": "a:b", "agent_name": "x"})
    assert [line.partition(":")[0] for line in text.splitlines()[2:]] == ["version", "agent_name", "entrypoint", "load"]


def test_notes_are_comments_at_the_end() -> None:
    """One a line."""
    assert rendered({}, "one", "two").endswith("version: 1\n\n# Not taken over:\n# - one\n# - two\n")
