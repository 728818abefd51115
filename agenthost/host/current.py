"""What the host is at this moment: its state, and the plan and the agents that the next offer meets.

Runs on the host's loop. Read by everything that must not keep an older one; a reload replaces plan and agents together
(`Fleet.adopt`), and only the `Host` changes the state.
"""

from collections.abc import Mapping

from agenthost.host.hosted_agent import HostedAgent
from agenthost.plan import Plan
from agenthost.status import HostState


class Current:
    """Begins with a plan and no agents."""

    def __init__(self, plan: Plan) -> None:
        self.state = HostState.STARTING
        self.plan = plan
        self.agents: Mapping[str, HostedAgent] = {}

    @property
    def closed(self) -> str:
        """Why no offer is accepted now; "" when they are."""
        return "draining" if self.state in (HostState.DRAINING, HostState.STOPPED) else ""
