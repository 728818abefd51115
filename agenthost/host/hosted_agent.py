"""One agent of the host: what it is planned to be, the generation that takes its new jobs, its registration.

Runs on the host's loop. A registration belongs to a name on the server, not to a generation: code may be replaced under
an open registration, and a registration under running code. Everything here is replaced in one step of the loop.
"""

from agenthost.config.model import AgentConfig
from agenthost.dispatch.registration import Registration
from agenthost.host.generation import Generation
from agenthost.plan import AgentPlan
from agenthost.processes.hook_process import Hook
from agenthost.processes.job_process import JobProcess


class HostedAgent:
    """`plan` and `generation` are what the next offer meets; `registration` is None where it registers nothing.

    `successor` is who goes on for it, once it has been removed and another has its place under another id.
    """

    def __init__(self, plan: AgentPlan, generation: Generation) -> None:
        self.plan = plan
        self.generation = generation
        self.registration: Registration | None = None
        self.successor: HostedAgent | None = None

    @property
    def current(self) -> "HostedAgent":
        """Who answers for it now: itself, or who goes on for it."""
        return self if self.successor is None else self.successor.current

    @property
    def id(self) -> str:
        return self.plan.id

    @property
    def config(self) -> AgentConfig:
        return self.plan.config

    @property
    def targets(self) -> frozenset[str]:
        """The agents whose code this one's rules may run."""
        return self.plan.targets

    @property
    def hook(self) -> Hook | None:
        """Where its request handler and load function run."""
        return self.generation.hook

    async def reserve(self) -> JobProcess:
        """A started process of the current generation. Raises ProcessFailed."""
        return await self.generation.reserve()
