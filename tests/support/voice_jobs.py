"""Processes that run livekit-agents code, for tests without a host."""

import importlib.util
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.job_process import Fork, JobTemplate
from tests.support.job_template import PRELOAD

IMPORTS = """
import asyncio, os, sys
from livekit.agents import AgentServer, JobContext, JobProcess, WorkerOptions, cli, get_job_context

server = AgentServer()
"""


# what older versions do not have is passed over
IMPORTED = ("livekit.agents", "livekit.agents.ipc._preload", "agenthost.voice.framework")


@contextmanager
def voice_template() -> Iterator[JobTemplate]:
    """A template whose processes load no models to share: that takes a second and 250 MB."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE", "0")
        patch.setenv(PRELOAD, " ".join(module for module in IMPORTED if importlib.util.find_spec(module)))
        with JobTemplate() as template:
            yield template


@contextmanager
def voice_fork(template: JobTemplate, folder: Path) -> Iterator[Fork]:
    """`fork(code, …)` starts a job process with `code` after IMPORTS, as `agent:server` unless told otherwise."""
    with ExitStack() as stack:

        def start(code: str, **options: Any) -> Any:
            options = {"entrypoint": "agent:server"} | options
            process = template.fork(folder, IMPORTS + code, **options)
            stack.callback(process.close)
            return process

        yield start
