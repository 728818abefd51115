"""The models that plugins register as inference runners (the turn detector): asked in the job's own process.

livekit-agents runs them in one more process. Here a runner is loaded once in the template, if that leaves no thread
behind, so that all jobs share its weights; otherwise in the job that first asks it. Which of the two is tried out in
a fork, since a template with a thread could fork no more.
"""

import asyncio
import os
import threading
from collections.abc import Mapping
from typing import Any

from livekit.agents.inference_runner import _InferenceRunner

from agenthost import kernel
from agenthost.child.thread_watch import ffi_in_use
from agenthost.logs.events import get_logger

log = get_logger("voice")

_LEAVES_THREADS = 3  # exit code of the fork that tries


class InferenceRunners:
    """All runners that imports have registered. Processes inherit what their template has loaded."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}
        self._loading = threading.Lock()

    def load_shared(self) -> None:
        """Load those in the template that can be. Raises what a runner's `initialize` raises."""
        for method, kind in _registered().items():
            if _loads_without_threads(kind):
                self._load(method)
            else:
                log.info("an inference runner is loaded by each job that uses it", runner=method, reason="threads")

    async def infer(self, method: str, data: bytes) -> bytes | None:
        """The answer of the runner `method`. Raises LookupError for one that nobody registered, or what it raises."""
        if method not in _registered():
            raise LookupError(f"no plugin has registered the inference method {method!r}")
        answer: bytes | None = await asyncio.to_thread(self._run, method, data)
        return answer

    def _run(self, method: str, data: bytes) -> bytes | None:
        with self._loading:
            runner = self._load(method)
        answer: bytes | None = runner.run(data)
        return answer

    def _load(self, method: str) -> Any:
        if method not in self._loaded:
            runner = _registered()[method]()
            runner.initialize()
            self._loaded[method] = runner
        return self._loaded[method]


RUNNERS = InferenceRunners()
"""Those of this process."""


def _registered() -> Mapping[str, Any]:
    return dict(_InferenceRunner.registered_runners)


def _loads_without_threads(kind: Any) -> bool:
    """Try it in a fork. One that fails counts as able: its error shall come up in the template, where it is told."""
    pid = os.fork()
    if pid == 0:
        kernel.die_with_parent()
        try:
            kind().initialize()
        except BaseException:
            os._exit(0)
        os._exit(_LEAVES_THREADS if (kernel.thread_count() or 1) > 1 or ffi_in_use() else 0)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status) != _LEAVES_THREADS
