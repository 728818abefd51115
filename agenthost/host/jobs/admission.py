"""Whether this host takes a job: the rules' decision, and whether there is room for it. Nothing here acts.

Runs on the host's loop. Asked for every offer, and by recovery before it has a dispatch offered again.
"""

from datetime import datetime

from agenthost.host.current import Current
from agenthost.host.hosted_agent import HostedAgent
from agenthost.host.jobs.registry import JobRegistry
from agenthost.host.load_control import LoadControl
from agenthost.jobs import Offer, Reject
from agenthost.rules import Decision, Facts, decide


class Admission:
    """One for the whole host."""

    def __init__(self, current: Current, jobs: JobRegistry, load: LoadControl) -> None:
        self._current = current
        self._jobs = jobs
        self._load = load

    def decide(self, receiver: HostedAgent, offer: Offer) -> Decision:
        """What the rules of `receiver` say."""
        now = datetime.now(self._current.plan.config.timezone)
        facts = Facts(now=now, agent_jobs=self._jobs.slots_of(receiver.id))
        return decide(offer, receiver.plan.rules, facts)

    def target(self, decision: Decision) -> HostedAgent | Reject:
        """The agent whose code is to run. One that a reload adds registers before it is taken into the fleet, and one
        that it removes closes its registration after."""
        target = self._current.agents.get(decision.agent)
        if self._current.closed:
            return Reject(reason=self._current.closed)
        if target is None:
            return Reject(reason="not served", detail=f"the agent `{decision.agent}` is being added or removed")
        return target

    def refusal(self, receiver: HostedAgent, offer: Offer) -> str:
        """Why this offer would not be taken now, "" if it would; nothing is held for it. The handler is not asked."""
        decision = self.decide(receiver, offer)
        if isinstance(decision.answer, Reject):
            return decision.answer.reason
        target = self.target(decision)
        if isinstance(target, Reject):
            return target.reason
        agent_limit = target.config.load.max_jobs
        free = self._jobs.has_room(target.id, host_limit=self._load.max_jobs, agent_limit=agent_limit)
        return "" if free and not self._load.brakes(target.id) else "full"
