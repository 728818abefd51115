"""Layers: profiles and command-line values over the file."""

import pytest

from agenthost.config.collector import Collector
from agenthost.config.document import parse
from agenthost.config.merge import merge, option, read_override, select_profile
from agenthost.config.nodes import Node, OriginKind, data
from agenthost.errors import UsageError


def node(text: str) -> Node:
    document = parse(text, "f", Collector("f"))
    assert document is not None
    return document.root


def test_mappings_merge_key_by_key_and_lists_are_replaced() -> None:
    """At every depth."""
    merged = merge(node("a: { b: 1, c: [1, 2] }\nd: 1\n"), node("a: { c: [3], e: 4 }\n"))
    assert data(merged) == {"a": {"b": 1, "c": [3], "e": 4}, "d": 1}


def test_a_profile_lies_over_the_file_and_is_marked() -> None:
    """Its values know which profile they came from, and where they stand."""
    root = node("a: 1\nprofiles:\n  prod: { a: 2 }\n  test: { a: 3 }\n")
    chosen = select_profile(root, "prod", command="start", findings=Collector("f"))
    assert chosen.entries["a"].value == 2
    assert chosen.entries["a"].origin.kind is OriginKind.PROFILE
    assert chosen.entries["a"].span.line == 3
    assert list(chosen.entries["profiles"].entries) == ["test"]


def test_dev_takes_its_own_profile_unless_told_otherwise() -> None:
    """Only under `dev`, and only if there is one."""
    root = node("a: 1\nprofiles: { dev: { a: 2 }, other: { a: 3 } }\n")
    findings = Collector("f")
    assert select_profile(root, None, command="dev", findings=findings).entries["a"].value == 2
    assert select_profile(root, None, command="start", findings=findings).entries["a"].value == 1
    assert select_profile(root, "other", command="dev", findings=findings).entries["a"].value == 3
    assert select_profile(node("a: 1\n"), None, command="dev", findings=findings).entries["a"].value == 1
    assert findings.findings() == ()


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a=1", {"a": 1}),
        ("a.b=30s", {"a": {"b": "30s"}}),
        ("a.b=", {"a": {"b": None}}),
        ('a="1"', {"a": "1"}),
        ("a=[x, 2]", {"a": ["x", 2]}),
        ("a={ b: 1 }", {"a": {"b": 1}}),
        ("a=b=c", {"a": "b=c"}),
        ("a=x: y", {"a": "x: y"}),
    ],
)
def test_an_override_is_a_path_and_a_yaml_value(text: str, tree: object) -> None:
    """Bare values are scalars; quotes and brackets are YAML."""
    assert data(read_override(text)) == tree


@pytest.mark.parametrize("text", ["a", "=1", "a..b=1", "a=[1", ".a=1"])
def test_a_malformed_override_is_a_usage_error(text: str) -> None:
    """The command line is wrong, not the file."""
    with pytest.raises(UsageError, match="--set"):
        read_override(text)


def test_values_of_options_have_no_place_in_the_file() -> None:
    """An error about them names the option instead."""
    tree = read_override("a=[1]")
    assert tree.entries["a"].items[0].span.line == 0
    assert option("livekit.url", "ws://x", "--url").entries["livekit"].entries["url"].origin.name == "--url"
