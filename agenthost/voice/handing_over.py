"""From a script's main process to its jobs: the functions of the agent that the script runs.

They are pickled as livekit-agents does for its own job processes: by the name under which the script, which each job
process imports as `__mp_main__`, has them. `take_agent` runs in main processes, `functions_of_main` in job processes.
"""

import importlib
import pickle
import sys
from types import FrameType, ModuleType
from typing import Any

from agenthost.child.agent_code import AgentCode, complete_code
from agenthost.child.entrypoint import import_failed
from agenthost.child.main_script import MAIN, OF_A_CHILD, find_script, run_script
from agenthost.child.run_app import RunAppCalled, answer_run_app
from agenthost.child.user_modules import is_users
from agenthost.errors import EntrypointError
from agenthost.ipc.messages import CodeSpec
from agenthost.voice import discovery
from agenthost.voice.code import VoiceCode, recognise

_FUNCTIONS = ("entrypoint", "setup", "session_end", "simulation_end")
"""Of VoiceCode, those that run in jobs; the others run in the main process."""


def take_agent(agent: object, spec: CodeSpec) -> tuple[AgentCode, bytes]:
    """As `door.take`."""
    from agenthost.voice.framework import recognise_agent

    reference = spec.entrypoint
    if isinstance(agent, ModuleType):
        handed = discovery.find_in_module(agent, reference)
    else:
        file, line = _caller()
        discovery.check_kind(agent, reference, file, line)
        handed = discovery.Found(agent=agent, file=file, line=line)
    framework = recognise_agent(handed, reference)
    assert framework is not None
    functions = _pickled(framework.code, handed.agent, reference)
    return complete_code(spec, framework, framework.entrypoint), functions


def functions_of_main(spec: CodeSpec) -> VoiceCode:
    """The agent's code in a job process, which runs the script's own text up to where it would run the agent.

    Raises EntrypointError.
    """
    reference = spec.entrypoint
    answer_run_app()
    try:
        module = run_script(find_script(reference), OF_A_CHILD)
    except RunAppCalled:
        module = sys.modules[MAIN]
    except EntrypointError:
        raise
    except BaseException as error:
        raise import_failed(reference, reference, error) from error
    try:
        handed: dict[str, Any] = pickle.loads(spec.functions)
    except Exception as error:
        raise EntrypointError(
            f"`{reference}`: job processes do not find what it runs ({error}): they import it as multiprocessing does, "
            'without what stands under `if __name__ == "__main__":`. Define functions above that'
        ) from error
    for name in handed.pop("preload_modules"):
        importlib.import_module(name)
    if (bound := handed.pop("bound", None)) is not None:
        code = recognise(getattr(module, bound), reference)
        assert code is not None
        return code
    return VoiceCode(reference=reference, **handed)


def _pickled(code: VoiceCode, agent: object, reference: str) -> bytes:
    preload = list(code.options.get("preload_modules") or ())
    try:
        functions = {name: getattr(code, name) for name in _FUNCTIONS}
        return pickle.dumps({**functions, "preload_modules": preload})
    except Exception as error:
        names = [name for name, value in vars(sys.modules[MAIN]).items() if value is agent]
        if names:  # functions without a name of their own, but the object that has them has one
            return pickle.dumps({"bound": names[0], "preload_modules": preload})
        raise EntrypointError(
            f"`{reference}`: job processes cannot find what it runs ({error}): define functions at the top of a module"
        ) from error


def _caller() -> tuple[str, int]:
    """The nearest line of the user's own that led here; ("", 0) where it cannot be seen from this task or thread."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith("<") and is_users(file):
            return file, frame.f_lineno
        frame = frame.f_back
    return "", 0
