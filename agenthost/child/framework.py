"""What code written for another framework must offer, so that a job process runs it like an agent of our own.

Runs in templates and the processes forked from them. There is one such framework, livekit-agents: agenthost.voice
knows it, `find_framework` is the door to that.
"""

import asyncio
import importlib.util
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from agenthost.child.entrypoint import Entrypoint
from agenthost.child.missing_packages import VOICE
from agenthost.code_values import CodeValues
from agenthost.errors import EntrypointError
from agenthost.ipc.channel import BlockingChannel
from agenthost.ipc.messages import CodeSpec, GuestSeen, StartJob

if TYPE_CHECKING:
    from agenthost.child.agent_code import AgentCode


class Run(Protocol):
    """One job on its event loop."""

    async def run(self, channel: BlockingChannel) -> float:
        """From Started to Ended. `channel` is taken over, with what it has read already, and given back at the end.

        Returns how many seconds there are then for what the process has registered to run at its exit.
        """

    def interrupt(self, error: BaseException) -> None:
        """User code raised SystemExit or KeyboardInterrupt in a task or callback of its own."""


class JobRunner(Protocol):
    """One process that will run at most one job."""

    def prewarm(self) -> asyncio.AbstractEventLoop | None:
        """Get ready, before the job. Returns the loop that this needed, if any: the job must run there.

        Raises whatever user code raises.
        """

    def settle(self, loop: asyncio.AbstractEventLoop, *, called: Callable[[], bool]) -> None:
        """Idle from now on: do already what a job can do without its order, as far as that is worth its memory.

        On `loop`, which will be the job's. `called` says that the job is there: it is asked between parts of a
        millisecond.
        """

    def brace(self, loop: asyncio.AbstractEventLoop, *, called: Callable[[], bool]) -> None:
        """The same for what is not worth it: a job is about to come. It may not, and this be called again."""

    def make_run(self, start: StartJob) -> Run:
        """The job, on the running loop."""


class SessionTopic(Protocol):
    """The topic over which sessions of livekit-agents are read and driven, in one job."""

    def open(self) -> None:
        """From now on this process's sessions are as the agent's `session_host` says."""

    def welcome(self, sids: Mapping[str, str]) -> None:
        """The host's guests of this room, each with the sid of who it is, "" while nobody has joined."""


class Framework(Protocol):
    """The framework that an agent's code is written for, with that code."""

    @property
    def entrypoint(self) -> Entrypoint:
        """What is called with the framework's own job context."""

    @property
    def values(self) -> CodeValues:
        """What the code says about how it wants to be hosted."""

    def complete(self, code: "AgentCode") -> "AgentCode":
        """`code` with the functions that the user's own objects name, where the file names none."""

    def prepare(self) -> None:
        """Load what the code asks for besides, and what no template has prepared. After the import of that code."""

    def runner(self, code: "AgentCode", userdata: dict[str, Any]) -> JobRunner:
        """For one process; `userdata` is what a shared prewarm left, else empty."""


def prepare_framework() -> None:
    """Load what all processes of a template can share, once it has imported the framework's library."""
    if "livekit.agents" in sys.modules:
        from agenthost.voice.door import prepare

        prepare()


def find_framework(found: object | None, spec: CodeSpec) -> Framework | None:
    """The framework that `found` is written for; None for code of our own kind.

    `found` None: the entrypoint names a module or a script alone, in which only livekit-agents can be meant. Raises
    EntrypointError where that is not installed, or what is found cannot be used.
    """
    if found is None:
        _need_framework(spec.entrypoint)
    elif "livekit.agents" not in sys.modules:
        return None
    # Late, so that processes of agents that have nothing to do with it carry nothing of it.
    from agenthost.voice.door import find

    return find(found, spec)


def session_topic(start: StartJob, *, say: Callable[[GuestSeen], None]) -> SessionTopic | None:
    """For code of our own kind, which may make such a session, too; None where livekit-agents is not imported."""
    if "livekit.agents" not in sys.modules:
        return None
    from agenthost.voice.door import open_topic

    return open_topic(start, say=say)


def handed_over(agent: object, spec: CodeSpec) -> "tuple[AgentCode, bytes]":
    """What a script's main process has for its host, and for the jobs (`CodeSpec.functions`).

    `agent` is what it runs, or its own module, to be searched for one. Raises EntrypointError.
    """
    _need_framework(spec.entrypoint)
    from agenthost.voice.door import take

    return take(agent, spec)


def _need_framework(reference: str) -> None:
    if importlib.util.find_spec("livekit.agents") is None:
        raise EntrypointError(
            f"`{reference}` names no attribute, which only code for livekit-agents can do, and that is not "
            f"installed: write `module:attribute`, or install it with `{VOICE}`"
        )
