"""Which job the running code belongs to, outside of any."""

import pytest

from agenthost.context.current import get_job_context


def test_context_outside_of_a_job_is_an_error_that_says_what_to_do() -> None:
    """The usual cause: it is called while the module is imported."""
    with pytest.raises(RuntimeError, match="call it from code that the entrypoint runs"):
        get_job_context()


def test_context_that_is_not_required_may_be_none() -> None:
    """For libraries that work with and without a job."""
    assert get_job_context(required=False) is None
