"""Expressions of a script, read without running it."""

import ast

import pytest

from agenthost.scaffold.expressions import Call, Expressions, Function, Literal, Named, Unknown, Value, Variable

MODULE = """
import math, os
import livekit.agents as lk
from livekit import agents
from livekit.agents import WorkerType, cli
from os import environ, getenv
from handlers import on_request

MINUTES = 60
NAME: str = "desk"
TWICE = 1
TWICE = 2
CIRCLE = CIRCLE_BACK
CIRCLE_BACK = CIRCLE

async def entrypoint(ctx): ...

class Agent:
    def method(self): ...
"""


def read(text: str) -> Value:
    tree = ast.parse(MODULE)
    return Expressions(tree, "app.main").read(ast.parse(text, mode="eval").body)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", 7),
        ("-1.5", -1.5),
        ("'a'", "a"),
        ("True", True),
        ("None", None),
        ("30 * MINUTES", 1800),
        ("(1 + 2) / 4", 0.75),
        ("NAME", "desk"),
        ("['a', NAME]", ["a", "desk"]),
        ("math.inf", float("inf")),
        ("float('inf')", float("inf")),
        ("int('3')", 3),
    ],
)
def test_literal(text: str, expected: object) -> None:
    """Numbers may be computed, constants named."""
    assert Literal(value=expected) == read(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("os.environ['A']", Variable(name="A", default=None, required=True)),
        ("os.environ.get('A')", Variable(name="A", default=None, required=False)),
        ("os.environ.get('A', 'b')", Variable(name="A", default="b", required=False)),
        ("environ.get('A', 7)", Variable(name="A", default="7", required=False)),
        ("getenv('A')", Variable(name="A", default=None, required=False)),
        ("int(os.getenv('A', '7'))", Variable(name="A", default="7", required=False)),
    ],
)
def test_environment(text: str, expected: Variable) -> None:
    """All spellings, casts left out."""
    assert expected == read(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("entrypoint", Function(reference="app.main:entrypoint")),
        ("on_request", Function(reference="handlers:on_request")),
        ("WorkerType.ROOM", Named(name="livekit.agents.WorkerType.ROOM")),
        ("agents.WorkerType.ROOM", Named(name="livekit.agents.WorkerType.ROOM")),
        ("lk.WorkerType.ROOM", Named(name="livekit.agents.WorkerType.ROOM")),
        (
            "agents.WorkerPermissions(hidden=True)",
            Call(name="livekit.agents.WorkerPermissions", positional=(), keywords={"hidden": Literal(value=True)}),
        ),
    ],
)
def test_names(text: str, expected: Value) -> None:
    """Own functions by the module that the file imports, livekit-agents' things by their full name."""
    assert expected == read(text)


@pytest.mark.parametrize("text", ["TWICE", "CIRCLE", "missing", "Agent().method", "compute(1)", "[compute()]"])
def test_everything_else_is_unknown(text: str) -> None:
    """Nothing is guessed: a name given two values has none."""
    assert isinstance(read(text), Unknown)


@pytest.mark.parametrize("text", ["lambda: 1", "f'{NAME}'", "1 / 0", "'a' * 3", "b'x'", "getenv()", "int('x')", "..."])
def test_odd_expressions_are_unknown_too(text: str) -> None:
    """None of them raises."""
    assert isinstance(read(text), Unknown)
