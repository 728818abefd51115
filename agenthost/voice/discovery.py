"""Finding the user's agent where the reference names no attribute: a module or script is run, and gives it.

Runs in main processes; and, with nothing but the import in mind, in `validate --import` and under `imports: shared`.
What it hands to `cli.run_app(…)` or runs is the agent; where it does neither it is searched as livekit-agents' command
line does: `app`, `server`, `agent`, then any AgentServer.
"""

from types import ModuleType

from livekit.agents import WorkerOptions
from msgspec import Struct

from agenthost.child.main_script import MAIN, find_script, run_script
from agenthost.child.missing_packages import hint
from agenthost.child.run_app import RunAppCalled, answer_run_app
from agenthost.child.user_errors import error_text, traceback_text, user_place
from agenthost.errors import EntrypointError
from agenthost.voice.code import AgentServer

_PREFERRED = ("app", "server", "agent")


class Found(Struct, frozen=True, kw_only=True):
    """`file` and `line` are where the code hands it over; "" and 0 where it only stands in a module."""

    agent: object
    file: str = ""
    line: int = 0


def find_in_script(reference: str) -> Found:
    """Run it as its author does, up to the point where it gives an agent. Raises EntrypointError.

    Whatever it raises, SystemExit included, becomes one with its traceback.
    """
    script = find_script(reference)
    answer_run_app()
    try:
        module = run_script(script, MAIN)
    except RunAppCalled as called:
        file, line = user_place(called)
        check_kind(called.agent, reference, file, line)
        return Found(agent=called.agent, file=file, line=line)
    except BaseException as error:
        advice = hint(error)
        told = f"`{reference}`: running it failed with {error_text(error)}" + (f"; {advice}" if advice else "")
        raise EntrypointError(told, traceback_text=traceback_text(error)) from error
    return find_in_module(module, reference)


def find_in_module(module: ModuleType, reference: str) -> Found:
    """The AgentServer or WorkerOptions of a module that has run. Raises EntrypointError where there is none."""
    values = [getattr(module, name, None) for name in (*_PREFERRED, *vars(module))]
    agents: list[object] = [value for value in values if isinstance(value, AgentServer)]
    agents += [value for value in values if isinstance(value, WorkerOptions)]
    if not agents:
        raise EntrypointError(
            f"`{reference}` neither calls `cli.run_app(…)` nor has an AgentServer: add one of them, or name "
            f"the function that handles jobs: `{_module_of(reference)}:function`"
        )
    return Found(agent=agents[0])


def _module_of(reference: str) -> str:
    return reference.removesuffix(".py").replace("/", ".")


def check_kind(agent: object, reference: str, file: str, line: int) -> None:
    """Raises EntrypointError for what `cli.run_app` does not take."""
    if not isinstance(agent, (AgentServer, WorkerOptions)):
        raise EntrypointError(
            f"`{reference}` gives an object of type {type(agent).__name__} to `cli.run_app(…)`, which takes an "
            "AgentServer or WorkerOptions",
            file=file,
            line=line,
        )
