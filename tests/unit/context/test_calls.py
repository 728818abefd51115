"""Calling what the user gave."""

import asyncio
import functools
from typing import Any

import pytest

from agenthost.context.calls import attempt, call, name_of, taken_by, takes


def nothing() -> str:
    return "none"


def one(first: object) -> object:
    return first


def optional(first: object = "default") -> object:
    return first


async def coroutine(first: object) -> object:
    return first


def everything(*args: object) -> object:
    return args


class Callable:
    def method(self, first: object) -> object:
        return first


async def test_call_awaits_what_is_awaitable() -> None:
    """Sync and async functions give their result alike."""
    assert await call(one, 1) == 1
    assert await call(coroutine, 2) == 2


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (nothing, ()),
        (one, ("reason",)),
        (optional, ("reason",)),
        (everything, ("reason",)),
        (Callable().method, ("reason",)),
        (functools.partial(one, "bound"), ()),
        (print, ("reason",)),
    ],
)
def test_function_is_given_as_much_as_it_takes(function: Any, expected: tuple[object, ...]) -> None:
    """A shutdown callback may take the reason, or not."""
    assert taken_by(function, "reason") == expected


def test_function_that_needs_more_is_given_all_there_is() -> None:
    """Its own TypeError then says what is missing."""
    assert taken_by(lambda a, b: None, "reason") == ("reason",)


def test_takes_counts_positional_arguments() -> None:
    """Optional ones may be left out, required ones may not."""
    assert [takes(optional, count) for count in (0, 1, 2)] == [True, True, False]
    assert not takes(one, 0)


def test_builtin_without_a_signature_is_given_the_benefit() -> None:
    """Only calling it can tell."""
    assert takes(type, 1)
    assert taken_by(dict.fromkeys, ()) == ((),)


async def test_attempt_returns_what_was_raised() -> None:
    """SystemExit and KeyboardInterrupt, too: in a task they would end the loop."""

    async def raises(error: BaseException) -> None:
        raise error

    for error in (ValueError("boom"), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()):
        assert await attempt(raises(error)) is error
    assert await attempt(coroutine(1)) is None


async def test_attempt_lets_its_own_cancellation_through() -> None:
    """Whoever cancels the task must see it cancelled."""
    task = asyncio.create_task(attempt(asyncio.Event().wait()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (one, f"{__name__}.one"),
        (Callable().method, f"{__name__}.Callable.method"),
        (functools.partial(one, 1), f"{__name__}.one"),
        (Callable(), f"{__name__}.Callable"),
        (len, "builtins.len"),
    ],
)
def test_name_of_a_callable_says_where_to_find_it(function: object, name: str) -> None:
    """Module and qualified name, whatever kind of callable it is."""
    assert name_of(function) == name
