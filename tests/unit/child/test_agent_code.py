"""`load_code`: everything a CodeSpec names, imported and checked once."""

import pytest

from agenthost.child.agent_code import load_code
from agenthost.errors import EntrypointError
from agenthost.ipc.messages import CodeSpec, InitFailed
from tests.support.job_process import Fork

HERE = __name__


async def entrypoint(ctx: object) -> None: ...


async def handler(req: object) -> None: ...


def prewarm(proc: object) -> None: ...


def session_end(ctx: object) -> None: ...


def load() -> float:
    return 0.0


def takes_nothing() -> None: ...


def _spec(**changes: str) -> CodeSpec:
    values = {"entrypoint": f"{HERE}:entrypoint"} | changes
    return CodeSpec(**values)


def test_code_has_all_that_the_spec_names() -> None:
    """And None for what it does not name."""
    names = {name: f"{HERE}:{name}" for name in ("prewarm", "session_end", "handler", "load")}
    code = load_code(_spec(**names))
    assert (code.entrypoint, code.prewarm, code.session_end, code.handler, code.load) == (
        entrypoint,
        prewarm,
        session_end,
        handler,
        load,
    )
    bare = load_code(_spec())
    assert (bare.prewarm, bare.session_end, bare.handler, bare.load) == (None, None, None, None)


@pytest.mark.parametrize("key", ["entrypoint", "prewarm", "session_end", "handler"])
def test_function_that_takes_nothing_is_refused_where_something_is_given(key: str) -> None:
    """The error shows how it is written."""
    with pytest.raises(EntrypointError, match=r"`.*:takes_nothing` takes \(\) -> None: .*def "):
        load_code(_spec(**{key: f"{HERE}:takes_nothing"}))


@pytest.mark.parametrize("key", ["entrypoint", "handler"])
def test_plain_function_is_refused_where_something_is_awaited(key: str) -> None:
    """A handler answers by `await req.accept()`, so it must be awaitable itself."""
    with pytest.raises(EntrypointError, match="is a plain function"):
        load_code(_spec(**{key: f"{HERE}:prewarm"}))


def test_code_that_cannot_be_used_is_told_before_any_job(fork: Fork) -> None:
    """The process that would have served says why it cannot, with the user's file and line."""
    process = fork("import os\nos.environ['NOT_SET_ANYWHERE']\nasync def entrypoint(ctx): ...")
    [failure] = process.rest()
    assert isinstance(failure, InitFailed)
    assert (failure.phase, failure.error, failure.line) == ("import", "KeyError", 2)
    assert "importing `agent_" in failure.message
