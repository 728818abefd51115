"""Calling what the user gave: sync or async, with as many arguments as it takes. Runs in processes of user code.

`attempt` is the border that no exception crosses, SystemExit and KeyboardInterrupt included: raised in a task they
would tear down the event loop, and the job would end without a last word.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any


async def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """The result of `function`, awaited where it is awaitable."""
    result = function(*arguments)
    return await result if inspect.isawaitable(result) else result


async def attempt(awaitable: Awaitable[Any]) -> BaseException | None:
    """What `awaitable` raised, or None. Only the cancellation of the running task passes through."""
    try:
        await awaitable
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return error  # raised by user code, or by something cancelled that it awaited
    except BaseException as error:
        return error
    return None


def taken_by(function: Callable[..., Any], *arguments: Any) -> tuple[Any, ...]:
    """As many of `arguments`, from the first, as `function` takes; it may take fewer than there are."""
    signature = _signature(function)
    for count in range(len(arguments), -1, -1):
        if signature is None or _fits(signature, arguments[:count]):
            return arguments[:count]
    return arguments


def takes(function: Callable[..., Any], count: int) -> bool:
    """Whether `function` can be called with `count` positional arguments and nothing else."""
    signature = _signature(function)
    return signature is None or _fits(signature, (None,) * count)


def name_of(function: object) -> str:
    """How logs and errors name a callable of the user: `support.greet`, or its type where it has no name."""
    function = getattr(function, "func", function)  # functools.partial
    name = getattr(function, "__qualname__", type(function).__qualname__)
    module = getattr(function, "__module__", None)
    return f"{module}.{name}" if module else name


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except ValueError:  # some built-ins have none: only calling them can tell
        return None


def _fits(signature: inspect.Signature, arguments: tuple[Any, ...]) -> bool:
    try:
        signature.bind(*arguments)
    except TypeError:
        return False
    return True
