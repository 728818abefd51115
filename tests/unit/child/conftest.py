"""Job and hook processes for the tests of this folder."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.job_process import Fork, JobProcess, JobTemplate


@pytest.fixture(scope="session")
def job_template() -> Iterator[JobTemplate]:
    """The template that all processes of a test run are forked from."""
    with JobTemplate() as template:
        yield template


@pytest.fixture
def fork(job_template: JobTemplate, tmp_path: Path) -> Iterator[Fork]:
    """`fork(code, kind="job", **spec)` starts a real process that runs `code`; the test is its host."""
    with ExitStack() as stack:

        def start(code: str, **options: Any) -> JobProcess:
            process = job_template.fork(tmp_path, code, **options)
            stack.callback(process.close)
            return process

        yield start
