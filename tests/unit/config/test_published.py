"""The files made from the field table are the ones in the repository."""

from pathlib import Path

import jsonschema
import pytest

from agenthost.config.collector import Collector
from agenthost.config.condition_schema import DESCRIPTIONS
from agenthost.config.document import parse
from agenthost.config.editor_schema import editor_schema
from agenthost.config.nodes import data
from agenthost.config.published import main, published
from agenthost.config.subjects import KINDS

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden" / "config"


@pytest.mark.parametrize("path", sorted(published()), ids=str)
def test_published_file_is_current(path: Path) -> None:
    """If this fails: `python -m agenthost.config.published`."""
    assert (ROOT / path).read_text(encoding="utf-8") == published()[path]


def test_writing_them_makes_folders_as_needed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And says what was written."""
    main(tmp_path)
    assert (tmp_path / "schemas" / "agenthost.schema.json").is_file()
    assert "docs/reference.md" in capsys.readouterr().out


def editor_errors(text: str) -> list[str]:
    document = parse(text, "f", Collector("f"))
    assert document is not None
    return [error.json_path for error in jsonschema.Draft7Validator(editor_schema()).iter_errors(data(document.root))]


@pytest.mark.parametrize("name", ["valid_shortest", "valid_flat", "valid_agents"])
def test_editors_accept_what_the_loader_accepts(name: str) -> None:
    """Short forms, references and anchors included."""
    assert editor_errors((GOLDEN / f"{name}.yaml").read_text().split("\n========\n")[0]) == []


@pytest.mark.parametrize(
    "line",
    ["entrypont: a:b", "drain_timeout: 3600", "register: yes", "load: { cpu: 70 }", "agents: { a: { tiemzone: UTC } }"],
)
def test_editors_underline_what_the_loader_refuses(line: str) -> None:
    """The usual slips are seen while typing."""
    assert editor_errors(f"{line}\n") != []


@pytest.mark.parametrize(
    ("when", "fine"),
    [
        ("{ room.name: 'a*', job.metadata.tier: gold, job.attributes.sip.trunk: t, sample: 10% }", True),
        ("{ any: [{ time.hour: '8..18' }, { room.age: { gt: 5m } }], not: { job.type: room } }", True),
        ("{ rom.name: a }", False),
        ("{ any: { room.name: a } }", False),
        ("{ room.num_participants: { more: 2 } }", False),
    ],
)
def test_conditions_are_completed_and_checked_in_editors(when: str, fine: bool) -> None:
    """Every path of `when` is known to the schema, and so are groups and operators."""
    text = f"entrypoint: a:b\nrequests:\n  rules:\n    - {{ name: a, when: {when}, action: accept }}\n"
    assert (editor_errors(text) == []) is fine


def test_every_path_of_conditions_is_described() -> None:
    """A new one must be explained to editors too."""
    assert set(DESCRIPTIONS) == set(KINDS)


def test_every_key_is_documented_for_editors() -> None:
    """Completion shows a description for each."""

    def missing(schema: dict, path: str) -> list[str]:
        found = []
        for name, child in schema.get("properties", {}).items():
            found += [] if "description" in child or "$ref" in child else [f"{path}.{name}"]
            for choice in child.get("anyOf", []):
                found += missing(choice, f"{path}.{name}")
        return found

    schema = editor_schema()
    assert missing(schema, "") == []
    for name, definition in schema["definitions"].items():
        assert name == "agent" or "description" in definition
        assert missing(definition, name) == []
