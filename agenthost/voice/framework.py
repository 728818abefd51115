"""`LiveKitAgents`: the framework of livekit-agents, as templates and the job processes forked from them use it."""

import asyncio
import functools
import importlib
import logging
import os
import sys
from contextlib import suppress
from typing import Any

from livekit.agents.cli.log import NOISY_LOGGERS
from msgspec.structs import replace

from agenthost.child.agent_code import AgentCode
from agenthost.child.entrypoint import Entrypoint
from agenthost.child.main_script import MAIN
from agenthost.child.rehearsal import STAND_IN
from agenthost.child.user_errors import bound_at
from agenthost.code_values import CodeValues
from agenthost.errors import EntrypointError
from agenthost.ipc.messages import CodeSpec
from agenthost.voice import discovery, telemetry
from agenthost.voice.code import VoiceCode, recognise
from agenthost.voice.first_uses import use_first
from agenthost.voice.handing_over import functions_of_main
from agenthost.voice.hooks import as_handler, as_load
from agenthost.voice.inference import RUNNERS
from agenthost.voice.job_process import VoiceProcess
from agenthost.voice.options import code_values
from agenthost.voice.rehearsal import warm_up


def find_agent(found: object | None, spec: CodeSpec) -> "LiveKitAgents | None":
    """As `door.find`, on a livekit-agents that fits."""
    if spec.functions:
        return LiveKitAgents(functions_of_main(spec))
    reference = spec.entrypoint
    handed = discovery.Found(agent=found) if found is not None else discovery.find_in_script(reference)
    return recognise_agent(handed, reference)


def recognise_agent(handed: discovery.Found, reference: str) -> "LiveKitAgents | None":
    """What the code gave, None if it is not for livekit-agents. Raises EntrypointError with the line that gave it."""
    try:
        code = recognise(handed.agent, reference)
        return None if code is None else LiveKitAgents(code)
    except EntrypointError as error:
        if not error.file:
            file, line = handed.file, handed.line
            error.file, error.line = (file, line) if file else _written(handed.agent, reference)
        raise


@functools.cache
def prepare_library() -> None:
    """Once in a process: mostly in a template, for all that are forked from it. Leaves no thread behind."""
    use_first()
    for name in NOISY_LOGGERS:
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.WARNING)
    telemetry.find_resource()
    RUNNERS.load_shared()
    with suppress(RuntimeError):
        asyncio.get_running_loop()
        return  # that of a main process without a template, which runs no job
    warm_up(lambda: VoiceProcess(STAND_IN, {}, simulation_end=None, inference=RUNNERS, proxy=""))


def _written(agent: object, reference: str) -> tuple[str, int]:
    """Where the module or script that `reference` names makes `agent`; ("", 0) where that cannot be seen."""
    name = reference.partition(":")[0] if ":" in reference else MAIN
    return bound_at(agent, sys.modules[name])


class LiveKitAgents:
    """One agent of livekit-agents: a `Framework` as `agenthost.child.framework` describes it."""

    def __init__(self, code: VoiceCode) -> None:
        self._code = code
        self._values = code_values(code)

    @property
    def code(self) -> VoiceCode:
        """What the user has written."""
        return self._code

    @property
    def entrypoint(self) -> Entrypoint:
        return self._code.entrypoint

    @property
    def values(self) -> CodeValues:
        return self._values

    def complete(self, code: AgentCode) -> AgentCode:
        mine = self._code
        return replace(
            code,
            prewarm=code.prewarm or mine.setup,
            session_end=code.session_end or mine.session_end,
            handler=code.handler or (as_handler(mine.request) if mine.request else None),
            server_load=as_load(mine.load, mine.server) if mine.load and not code.load else None,
        )

    def prepare(self) -> None:
        for module in self._code.options.get("preload_modules") or ():
            importlib.import_module(module)
        prepare_library()

    def runner(self, code: AgentCode, userdata: dict[str, Any]) -> VoiceProcess:
        return VoiceProcess(
            code,
            userdata,
            simulation_end=self._code.simulation_end,
            inference=RUNNERS,
            proxy=os.environ.get("HTTPS_PROXY") or os.environ.get("HTTP_PROXY") or "",
        )
