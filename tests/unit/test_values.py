from pathlib import Path

import pytest

from agenthost.values import Alike, Discreet


class Key(Discreet, frozen=True, kw_only=True):
    not_shown = frozenset({"secret"})

    name: str
    secret: str


class Rule(Alike, frozen=True, kw_only=True):
    not_compared = frozenset({"text"})

    name: str
    text: str


def test_a_field_that_is_not_shown_is_in_no_repr() -> None:
    key = Key(name="lk", secret="hidden")
    assert repr(key) == "Key(name='lk')"
    assert "hidden" not in f"{key}{[key]}"


def test_fields_that_are_not_shown_are_compared() -> None:
    assert Key(name="lk", secret="a") != Key(name="lk", secret="b")


def test_a_field_that_is_not_compared_makes_no_difference() -> None:
    assert Rule(name="vip", text="short") == Rule(name="vip", text="long")
    assert Rule(name="vip", text="short") != Rule(name="gold", text="short")
    assert Rule(name="vip", text="short") != "vip"


@pytest.mark.parametrize("named", ["not_shown", "not_compared"])
def test_only_fields_that_exist_are_named(named: str) -> None:
    """A secret that was renamed would show."""
    for kind in _all_below(Discreet):
        assert getattr(kind, named, frozenset()) <= set(kind.__struct_fields__), kind


def _all_below(kind: type[Discreet]) -> set[type[Discreet]]:
    """Of the whole program: every module that has one is imported first."""
    import importlib

    for file in (Path(__file__).parents[2] / "agenthost").rglob("*.py"):
        if "agenthost.values" in file.read_text():
            importlib.import_module(".".join(file.relative_to(Path(__file__).parents[2]).with_suffix("").parts))
    below, found = [kind], set()
    while below:
        kind = below.pop()
        found.add(kind)
        below += kind.__subclasses__()
    return found
