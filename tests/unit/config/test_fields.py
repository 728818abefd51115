"""The field table against everything that is made from it: nothing is missing, nothing disagrees."""

import re

import pytest

from agenthost.config import model
from agenthost.config.convert import convert
from agenthost.config.fields import UNSET, Field, Kind, Spec, build_spec, descend
from agenthost.config.host_fields import AGENT_KEYS, FILE, HOST_KEYS
from agenthost.config.json_schema import canonical_schema, has_format
from agenthost.config.resolve import default_node

ALL = [pytest.param(spec.field, id=path) for path, spec in descend(FILE) if not path.startswith(("profiles", "agents"))]


@pytest.mark.parametrize("field", ALL)
def test_every_field_is_described_in_sentences(field: Field) -> None:
    """The description is what `explain`, editors and the reference show."""
    assert re.match(r"[A-Z`]", field.description)
    assert field.description.endswith(".")


@pytest.mark.parametrize("field", ALL)
def test_every_default_is_a_value_that_the_field_accepts(field: Field) -> None:
    """A default is written as a user would write it."""
    for default in (field.default, field.dev_default):
        if default is None or default is UNSET:
            continue
        if field.kind in (Kind.DURATION, Kind.SIZE, Kind.RATIO) or (field.kind is Kind.COUNT and field.words):
            assert has_format(default, field)
        if field.kind is Kind.CHOICE:
            assert default in field.choices
        convert(default_node(default), Spec(field=field))


@pytest.mark.parametrize("field", ALL)
def test_every_section_says_when_a_change_takes_effect(field: Field) -> None:
    """At the top; below it the class is inherited."""
    if "." not in field.path and field.path not in ("version", "control", "profiles", "tests"):
        assert field.apply is not None


@pytest.mark.parametrize(
    ("section", "cls"),
    [
        ("permissions", model.Permissions),
        ("limits", model.Limits),
        ("recovery", model.Recovery),
        ("prewarm", model.Prewarm),
    ],
)
def test_sections_and_classes_have_the_same_fields(section: str, cls: type) -> None:
    """What the table knows is what the program sees."""
    assert set(FILE.children[section].children) == set(cls.__struct_fields__)


def test_load_and_expectations_have_the_same_fields_as_their_classes() -> None:
    """The same for the two that are nested."""
    assert set(FILE.children["load"].children) == set(model.LoadLimits.__struct_fields__)
    expect = FILE.children["tests"].children["expect"]
    assert set(expect.children) == set(model.Expectation.__struct_fields__)


def test_agent_keys_and_the_agents_class_agree() -> None:
    """Every key reaches the program."""
    names = set(model.AgentConfig.__struct_fields__) - {"id", "place", "written", "withheld"}
    assert names == set(AGENT_KEYS)


def test_host_keys_are_the_documented_ones() -> None:
    """All others are agent keys."""
    documented = (
        "version livekit log_level log_levels log_format http control env_file preload profiles tests timezone reload "
        "load agents"
    )
    assert set(HOST_KEYS) == set(documented.split())


def test_the_canonical_schema_has_neither_alternatives_nor_references() -> None:
    """One shape for each value is what makes its errors readable."""
    text = repr(canonical_schema())
    assert not re.search(r"anyOf|oneOf|allOf|\$ref", text)


def test_a_field_without_its_parent_is_a_mistake() -> None:
    """The table is a tree."""
    root = Field(path="", kind=Kind.SECTION, description="Root.")
    with pytest.raises(KeyError):
        build_spec(root, [Field(path="a.b", kind=Kind.TEXT, description="Orphan.")])
